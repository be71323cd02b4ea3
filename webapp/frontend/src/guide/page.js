// The page that is shown: what to do when it has come, and its part of the address.
import { byId } from "../dom.js";
import { reachWhenWide } from "../wide.js";

const tasks = [];

/** Calls task(main) now and whenever another page was put in place. */
export const onArrival = (task) => tasks.push(task);

export function arrive() {
  const main = byId("main");
  for (const node of main.querySelectorAll("[data-script-only]")) node.hidden = false;
  for (const node of main.querySelectorAll("[data-without-script]")) node.hidden = true;
  reachWhenWide(main.querySelectorAll(".table-scroll"));
  const told = main.querySelector("[data-permalink]");
  if (told) setPermalink(told.dataset.permalink, told.dataset.url);
  for (const task of tasks) task(main);
}

/** Puts the answers into the address, behind the #, where no server sees them. */
export function setPermalink(permalink, url = location.pathname + location.search) {
  history.replaceState(history.state, "", `${url}#${permalink}`);
}

/** The page of this text in the place of the one that is shown. */
export function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  document.title = page.title;
  byId("main").replaceWith(page.getElementById("main"));
  scrollTo(0, 0);
  const heading = byId("main").querySelector("h1");
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}
