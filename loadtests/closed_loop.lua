-- wrk script: POST each line of a file once, and count the answers of a time window.
--
--   wrk -t1 -c64 -d11s -s loadtests/closed_loop.lua http://127.0.0.1:3000 -- BODIES PATH WARM_UP_S WINDOW_S
--
-- BODIES holds one JSON body a line. wrk's own rate counts the ramp of the first answers and the requests that are
-- cut off at the end; the window lies within the steady state. Needs one wrk thread (-t1): threads share nothing.

local ffi = require("ffi")
ffi.cdef([[
  typedef struct { long seconds; long nanoseconds; } loadtest_time;
  int clock_gettime(int clock, loadtest_time *time);
]])
local MONOTONIC = 1
local time = ffi.new("loadtest_time")

local function now()
  ffi.C.clock_gettime(MONOTONIC, time)
  return tonumber(time.seconds) + 1e-9 * tonumber(time.nanoseconds)
end

local bodies, headers, path = {}, { ["content-type"] = "application/json" }, nil
local warm_up, window, first = nil, nil, nil

-- Globals: the main state reads them in done().
sent, answered, counted, failed, found, exhausted = 0, 0, 0, 0, 0, 0
failure = ""

local client

function setup(thread)
  client = thread
end

function init(args)
  for line in io.lines(args[1]) do bodies[#bodies + 1] = line end
  path, warm_up, window = args[2], tonumber(args[3]), tonumber(args[4])
end

function request()
  if sent == #bodies then
    exhausted = 1
    wrk.thread:stop()
  else
    sent = sent + 1
  end
  return wrk.format("POST", path, headers, bodies[sent])
end

function response(status, _, body)
  local at = now()
  first = first or at
  answered = answered + 1
  if status ~= 200 then
    failed = failed + 1
    failure = body
  elseif not (body:find('"cache_hits":%s*0[,}]') and body:find('"coalesced":%s*0[,}]')) then
    found = found + 1
  end
  local since = at - first
  if since >= warm_up and since < warm_up + window then counted = counted + 1 end
end

function done(summary)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"sent": %d, "answered": %d, "counted": %d, "failed": %d, "found": %d, "exhausted": %d, "broken": %d}\n',
    client:get("sent"), client:get("answered"), client:get("counted"), client:get("failed"), client:get("found"),
    client:get("exhausted"), errors.connect + errors.read + errors.write + errors.timeout))
  io.write("FAILURE " .. client:get("failure") .. "\n")
end
