// Shortcuts that work everywhere on the page, the editor included; the list is behind "?".
import { byId } from "../dom.js";

const PANES = ["pane-files", "pane-editor", "pane-side", "pane-output"];

export function listenToKeys({ run, submit, save }) {
  document.addEventListener(
    "keydown",
    (event) => {
      const action = actionOf(event, { run, submit, save });
      if (!action || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      event.stopPropagation();
      action();
    },
    { capture: true },
  );
}

function actionOf(event, { run, submit, save }) {
  const ctrl = event.ctrlKey || event.metaKey;
  if (ctrl && event.key === "Enter") return event.shiftKey ? submit : run;
  if (ctrl && event.key === "s") return save;
  if (event.key === "F6") return () => nextPane(event.shiftKey ? -1 : 1);
  return null;
}

/** Moves the focus to the next pane: into the editor's text, or to the pane's first control. */
function nextPane(step) {
  const here = PANES.findIndex((id) => byId(id).contains(document.activeElement));
  const pane = byId(PANES.at((here + step) % PANES.length));
  const inside = pane.querySelector(".editor")?.shadowRoot.querySelector(".cm-content");
  (inside ?? pane.querySelector("button:not([tabindex='-1']), a") ?? pane).focus();
}
