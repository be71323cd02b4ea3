// The forms on the way to a result are sent as they would be without a script, but the answer takes
// the page's place without a reload, and the browser's Back and Reload ask for the same page again.
import { toast } from "../dom.js";
import { arrive, show } from "./page.js";

const AWAY = "We cannot be reached. Your answers are kept in this browser; try again.";
let asking = new AbortController();

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

/** The page at an address. Null when there is none, which is then said, or when something else has
 * been asked for meanwhile: what is on the screen stays. */
async function fetched(url, entries) {
  asking.abort();
  asking = new AbortController();
  try {
    const response = await post(url, entries, asking.signal);
    if (response.ok) return { url: response.url, html: await response.text() };
    toast(await complaint(response), "warning");
  } catch (error) {
    if (error.name !== "AbortError") toast(AWAY, "warning");
  }
  return null;
}

/** Sends fields with the token of this session: that of a remembered page may be older. An error is
 * answered as JSON. */
export function post(url, entries, signal) {
  const token = document.querySelector("[name=csrf_token]").value;
  const body = new URLSearchParams([
    ...entries.filter(([name]) => name !== "csrf_token"),
    ["csrf_token", token],
  ]);
  return fetch(url, { method: "POST", body, signal, headers: { Accept: "application/json" } });
}

async function complaint(response) {
  const { message, advice, problems = [] } = await response.json();
  return [message, ...problems.map(({ path, message }) => `${path}: ${message}`), advice].join(" ");
}
