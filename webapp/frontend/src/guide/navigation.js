// The forms on the way to a result are sent as they would be without a script, but the answer takes
// the page's place without a reload, and the browser's Back and Reload ask for the same page again.
import { toast } from "../dom.js";
import { arrive, show } from "./page.js";

export function listenToForms() {
  document.addEventListener("submit", (event) => {
    const { target: form, submitter } = event;
    if (!form.hasAttribute("data-in-place") || submitter?.hasAttribute("data-leaves")) return;
    event.preventDefault();
    const url = submitter?.getAttribute("formaction") ?? form.getAttribute("action");
    go(url, [...new FormData(form, submitter)]);
  });
  addEventListener("popstate", ({ state }) => {
    if (state?.entries) load(state.url, state.entries);
    else location.reload();
  });
}

/** Goes to what the address answers to these fields. */
export async function go(url, entries) {
  const answer = await fetched(url, entries);
  if (!answer) return;
  history.pushState({ url, entries }, "", new URL(answer.url).pathname + location.search);
  show(answer.html);
  arrive();
}

/** The same without a step in the history: for Back, Reload and a link that was opened. */
export async function load(url, entries) {
  const answer = await fetched(url, entries);
  if (!answer) return;
  history.replaceState({ url, entries }, "");
  show(answer.html);
  arrive();
}

async function fetched(url, entries) {
  try {
    const response = await fetch(url, { method: "POST", body: withToken(entries) });
    return { url: response.url, html: await response.text() };
  } catch {
    toast("We cannot be reached. Your answers are kept in this browser; try again.", "warning");
    return null;
  }
}

/** The fields with the token of this session: that of a remembered page may be older. */
export function withToken(entries) {
  const token = document.querySelector("[name=csrf_token]").value;
  return new URLSearchParams([
    ...entries.filter(([name]) => name !== "csrf_token"),
    ["csrf_token", token],
  ]);
}
