// The workspace page: wires the parts together. What each part does is in its own module.
import { byId } from "../dom.js";
import { tabs } from "../tabs.js";
import { Autosave } from "./autosave.js";
import { startClock } from "./clock.js";
import { Draft } from "./draft.js";
import { Editor } from "./editor.js";
import { showFiles } from "./files.js";
import { listenToKeys } from "./keys.js";
import { Output } from "./output.js";
import { splitPanes } from "./panes.js";
import { Project } from "./project.js";
import { Results } from "./results.js";
import { Runs } from "./runs.js";
import { watchSaving } from "./saved.js";

const { attempt, files, urls, csrf, runs } = JSON.parse(byId("bootstrap").textContent);

const project = new Project(files);
const draft = new Draft(attempt.id);
const autosave = new Autosave(project, draft, {
  url: urls.files,
  csrf,
  revision: attempt.revision,
});
const editor = new Editor(byId("editor"), project, attempt);
const output = new Output();
const side = tabs(byId("side-tabs"), (chosen) => {
  for (const tab of byId("side-tabs").children)
    byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
});
const showResults = () => side.choose(byId("tab-results"));
const results = new Results({ onScenario: (name) => output.showScenario(name) });
const graded = new Runs({
  urls,
  csrf,
  runs,
  autosave,
  output,
  results,
  onStart: () => {
    showResults();
    byId("pane-side").scrollIntoView({ block: "nearest" }); // in a narrow window it is further down
  },
});

showFiles(project, attempt);
splitPanes(byId("main"));
startClock(attempt);
if (attempt.readonly) {
  showResults();
} else {
  watchSaving(project, autosave, draft, attempt);
  byId("run").addEventListener("click", () => graded.run());
  byId("submit").addEventListener("click", () => graded.submit());
  listenToKeys({
    run: () => graded.run(),
    submit: () => graded.submit(),
    save: () => autosave.save(),
  });
  editor.focus();
}
