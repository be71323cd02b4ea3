// What every page has: theme, copy buttons, dialogs, times in the reader's own zone.
import { byId, copyText } from "./dom.js";
import { reachWhenWide } from "./wide.js";
import { remember } from "./storage.js";

const FORMS = {
  full: { dateStyle: "medium", timeStyle: "short" },
  date: { dateStyle: "medium" },
};

for (const time of document.querySelectorAll("time[data-moment]")) {
  const form = FORMS[time.dataset.moment];
  const when = new Date(time.dateTime);
  time.title = when.toLocaleString([], { dateStyle: "full", timeStyle: "long" });
  time.textContent =
    when.toLocaleString("en-GB", form) + (form.timeStyle ? ` ${zoneName(when)}` : "");
}

function zoneName(when) {
  const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(when);
  return parts.find((part) => part.type === "timeZoneName").value;
}

for (const toggle of document.querySelectorAll("[data-theme-toggle]")) {
  toggle.hidden = false;
  toggle.addEventListener("click", switchTheme);
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  remember("offsetzero:theme", root.dataset.theme);
}

document.addEventListener("click", (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) copyText(textOf(byId(copy.dataset.copy)));
  const opener = event.target.closest("[data-open]");
  if (opener) byId(opener.dataset.open).showModal();
  event.target.closest("[data-close]")?.closest("dialog").close();
});

function textOf(node) {
  return node.value ?? node.textContent;
}

document.addEventListener("keydown", (event) => {
  const typing =
    event.target.closest("input, textarea, select, [contenteditable]") || event.target.shadowRoot;
  const list = byId("shortcuts");
  if (event.key === "?" && !typing && list && !list.open) list.showModal();
});

reachWhenWide(document.querySelectorAll(".prose :is(pre, table)"));

// Opening a link to a folded part unfolds it, so that "#check-EFF-2" shows the proof.
function unfoldTarget() {
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  target?.closest("details")?.setAttribute("open", "");
  target?.scrollIntoView();
}
addEventListener("hashchange", unfoldTarget);
unfoldTarget();
