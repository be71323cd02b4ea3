// Addresses: a link to a result carries the answers behind its #; links within a page must not
// push them out.
import { byId } from "../dom.js";
import { load } from "./navigation.js";
import { answersOf } from "./permalink.js";

/** On a page opened by its address alone: back to what it showed, or on to the link's answers. */
export function followAddress() {
  const model = byId("guide-model");
  if (!model) return;
  if (history.state?.entries) {
    load(history.state.url, history.state.entries);
  } else if (location.hash.length > 1) {
    open(JSON.parse(model.textContent));
  }
}

function open(model) {
  const permalink = location.hash.slice(1);
  try {
    const answers = JSON.stringify({ answers: answersOf(model, permalink) });
    const company = model.company ? [["company", model.company]] : [];
    load(location.pathname, [["answers", answers], ["layout", "one"], ...company]);
  } catch (error) {
    const problem = byId("link-problem");
    if (problem) problem.textContent = `This link ${error.message}.`;
  }
}

/** Links within the page move the focus and leave the address alone. */
export function followLinks() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    const target = link && byId(link.hash.slice(1));
    if (!target) return;
    event.preventDefault();
    target.closest("details")?.setAttribute("open", "");
    target.scrollIntoView();
    target.focus({ preventScroll: true });
  });
}
