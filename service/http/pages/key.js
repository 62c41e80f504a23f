// The API key: asked for where the service wants one, kept for this tab alone, sent in a header and never shown.
import { byId, el } from "./dom.js";

const KEPT = "encodeonce-api-key"; // of sessionStorage: both pages have it, and it goes with the tab
let isDeclined = false;

export const hasKey = () => sessionStorage.getItem(KEPT) !== null;

const field = el("input", { id: "key-field", type: "password", required: true, pattern: "[!-~]+", title: "letters, digits and signs, without spaces",
  autocomplete: "off", spellcheck: "false", "aria-describedby": "key-why" });
const why = el("p", { id: "key-why", class: "quiet" });
const forget = el("button", { type: "button", class: "plain" }, "Forget it");
const cancel = el("button", { type: "button", class: "plain" }, "Cancel");
const form = el("form", {}, el("h2", { id: "key-title" }, "API key"), why, el("label", { for: "key-field" }, "Key"), field,
  el("div", { class: "actions" }, el("button", { type: "submit" }, "Use it"), cancel, forget));
const dialog = el("dialog", { "aria-labelledby": "key-title" }, form);
document.body.append(dialog);

/** Opens the dialog; true once a key was given or forgotten, false if the user would rather not. */
function openDialog(reason) {
  why.textContent = `${reason} The key stays in this tab until it is closed, and goes to this service alone.`;
  forget.hidden = !hasKey();
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  field.focus();
  return new Promise((resolve) => { dialog.addEventListener("close", () => resolve(dialog.returnValue === "changed"), { once: true }); });
}

form.addEventListener("submit", (event) => { event.preventDefault(); sessionStorage.setItem(KEPT, field.value); dialog.close("changed"); });
forget.addEventListener("click", () => { sessionStorage.removeItem(KEPT); dialog.close("changed"); });
cancel.addEventListener("click", () => dialog.close());

/** Shows the button that opens the dialog, where keys mean something; `changed` is called after it was used. */
export function offerKey(changed) {
  byId("key").hidden = !hasKey();
  byId("key").addEventListener("click", async () => {
    if (!await openDialog("Sent with every request.")) return;
    isDeclined = false;
    changed();
  });
}

/** Like `fetch`, with the key; the response has its `seconds`. Where the service wants another key, it is asked for; whoever declines gets the 401. */
export async function call(path, options = {}, { again = true } = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEPT);
    const headers = { ...options.headers, ...(key === null ? {} : { authorization: `Bearer ${key}` }) };
    const started = performance.now();
    const response = await fetch(path, { ...options, headers });
    response.seconds = (performance.now() - started) / 1e3;
    if (response.status !== 401) return response;
    if (sessionStorage.getItem(KEPT) !== key) continue; // another key was given while this request was under way
    byId("key").hidden = false;
    if (isDeclined && !again) return response;
    isDeclined = !await openDialog(key === null ? "This service answers to API keys alone." : "The key is not known to this service.");
    if (isDeclined) return response;
  }
}
