// While questions are answered: fields that belong together, the strip, and the draft.
import { byId } from "../dom.js";
import { keep } from "./draft.js";
import { post } from "./navigation.js";
import { setPermalink } from "./page.js";
import { update } from "./strip.js";

const TYPING_MS = 300;
let timer;
let asking;

export function listenToAnswers() {
  document.addEventListener("input", ({ target }) => {
    const form = target.closest("[data-live]");
    if (!form) return;
    const question = target.closest("[data-question]");
    if (question) agree(question, target);
    note(form);
    clearTimeout(timer);
    const wait = target.type === "radio" ? 0 : TYPING_MS;
    timer = setTimeout(() => form.isConnected && follow(form), wait);
  });
}

/** A number chooses its range; another choice clears it; a reason chooses its answer. */
export function agree(question, changed) {
  const choices = [...question.querySelectorAll("[type=radio]")];
  const number = question.querySelector("[data-starts]");
  if (changed === number && changed.value.trim()) {
    const range = rangeOf(number);
    if (range >= 0) choices[range].checked = true;
  } else if (changed.type === "radio" && number?.value && choices[rangeOf(number)] !== changed) {
    number.value = "";
  } else if (changed.localName === "select" && changed.value) {
    choices.at(-1).checked = true;
  }
}

function rangeOf(number) {
  const value = Number(number.value.replaceAll(",", ""));
  return number.dataset.starts.split(" ").findLastIndex((start) => Number(start) <= value);
}

/** A page of questions came with answers from the pages before it: they are the newest. */
export function keepArrived(main) {
  const form = main.querySelector("[data-live]");
  const answered = Number(byId("strip")?.dataset.answered);
  if (form && answered) keep([...new FormData(form)], answered);
}

/** Keeps the answers at once: Back and Reload shall show this page with what is on it now. */
function note(form) {
  const entries = [...new FormData(form)];
  keep(entries, Number(byId("strip").dataset.answered) || 1);
  const here = entries.filter(([name]) => name === "at").map(([, id]) => ["go", id]);
  history.replaceState({ url: form.getAttribute("action"), entries: [...entries, ...here] }, "");
}

/** Asks how the decisions lean now, and shows it. A later call ends this one. */
async function follow(form) {
  asking?.abort();
  asking = new AbortController();
  const entries = [...new FormData(form)];
  const strip = byId("strip");
  try {
    const response = await post(form.dataset.live, entries, asking.signal);
    const found = await response.json();
    if (!form.isConnected) return;
    if (!response.ok) return later(form, found.retry_after);
    setPermalink(found.permalink);
    update(strip, found.strip);
    keep(entries, found.strip.answered);
  } catch (error) {
    if (error.name !== "AbortError") strip.dataset.stale = "";
  }
}

/** The strip is behind, and asks again once the server wants to be asked. */
function later(form, seconds) {
  byId("strip").dataset.stale = "";
  if (seconds) timer = setTimeout(() => form.isConnected && follow(form), 1000 * seconds);
}
