-- wrk script: POST the lines of a file, each once or in turn for ever, and print the median latency.
--
--   wrk -t1 -c16 -d5s -s loadtests/latency.lua URL -- BODIES PATH KEY once|again
--
-- BODIES holds one JSON body a line. KEY is sent as an API key; an empty one is not. Needs one wrk thread (-t1).

local bodies, headers, path, again = {}, { ["content-type"] = "application/json" }, nil, false

-- Globals: the main state reads them in done().
sent, failed, exhausted = 0, 0, 0
failure = ""

local client

function setup(thread)
  client = thread
end

function init(args)
  for line in io.lines(args[1]) do bodies[#bodies + 1] = line end
  path, again = args[2], args[4] == "again"
  if args[3] ~= "" then headers["authorization"] = "Bearer " .. args[3] end
end

function request()
  if sent >= #bodies and not again then
    exhausted = 1
    wrk.thread:stop()
  end
  sent = sent + 1
  return wrk.format("POST", path, headers, bodies[(sent - 1) % #bodies + 1])
end

function response(status, _, body)
  if status ~= 200 then
    failed = failed + 1
    failure = body
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"p50_us": %d, "requests": %d, "failed": %d, "exhausted": %d, "broken": %d}\n',
    latency:percentile(50), summary.requests, client:get("failed"), client:get("exhausted"),
    errors.connect + errors.read + errors.write + errors.timeout))
  io.write("FAILURE " .. client:get("failure") .. "\n")
end
