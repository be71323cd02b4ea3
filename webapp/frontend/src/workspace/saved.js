// The saved state in the top bar, and what to do when two versions of the text meet.
import { byId, clockTime, element } from "../dom.js";

/** Brings back unsaved text of this browser, and shows from now on how saving goes. */
export function watchSaving(project, autosave, draft, attempt) {
  const line = byId("saved");
  autosave.addEventListener("saving", () => (line.textContent = "Saving…"));
  autosave.addEventListener("saved", ({ detail }) => {
    line.classList.remove("saved--not");
    line.textContent = `Saved ${clockTime(detail.at)}`;
  });
  autosave.addEventListener("unsaved", ({ detail }) => {
    line.classList.add("saved--not");
    line.textContent = `Not saved: ${detail.reason} Your text is kept in this browser.`;
  });
  autosave.addEventListener("conflict", ({ detail }) =>
    settle(project, autosave, draft, detail, "This project was changed in another window."),
  );
  takeOver(project, autosave, draft, attempt);
}

function takeOver(project, autosave, draft, attempt) {
  const saved = { revision: attempt.revision, files: Object.fromEntries(project.files) };
  const action = draft.against(attempt.revision, project.files);
  if (action === "drop") return draft.drop();
  const mine = JSON.parse(draft.kept.files);
  if (action === "restore") {
    project.replace(mine);
    return autosave.resume(attempt.revision);
  }
  const when = clockTime(new Date(draft.kept.at));
  project.replace(mine);
  return settle(
    project,
    autosave,
    draft,
    saved,
    `This browser holds text from ${when} that was not saved, and the saved files changed since.`,
  );
}

/** Asks which version goes on; until then nothing is sent and nothing is lost. */
function settle(project, autosave, draft, theirs, why) {
  autosave.hold();
  const note = element(
    "div",
    { className: "notice notice--warning" },
    element("p", { textContent: `${why} You see this browser's text.` }),
  );
  const choose = (label, action) => {
    const button = element("button", {
      type: "button",
      className: "button button--small",
      textContent: label,
    });
    button.addEventListener("click", () => {
      note.remove();
      action();
    });
    return button;
  };
  note.append(
    choose("Keep this browser's text", () => autosave.resume(theirs.revision)),
    choose("Use the saved files", () => {
      project.replace(theirs.files);
      autosave.resume(theirs.revision);
    }),
  );
  byId("notices").replaceChildren(note);
}
