// Starting runs and showing one of them.
import { ask, byId, element, toast } from "../dom.js";
import { openStream } from "./stream.js";

export class Runs {
  #stop = () => {};
  #list;

  constructor({ urls, csrf, runs, autosave, output, results, onStart }) {
    Object.assign(this, { urls, csrf, autosave, output, results, onStart });
    this.#list = runs;
    byId("run-choice").addEventListener("change", (event) => this.show(this.#list[event.target.selectedIndex]));
    if (runs.length) this.show(runs[0]);
  }

  async run() {
    await this.#start("run");
  }

  async submit() {
    if (!byId("confirm-submit").open && (await ask(byId("confirm-submit"))) && (await this.#start("submit"))) location.reload();
  }

  show(run) {
    this.#stop();
    this.#listRuns(run);
    const begin = () => {
      this.results.clear();
      this.output.clear();
    };
    begin();
    this.results.state({ state: "queued", text: "Asking for the run's events." });
    this.#stop = openStream(run.events, {
      connection: (up) => this.#connected(up),
      resync: begin,
      output: (line) => this.output.add(line),
      story: (line) => this.results.story(line),
      scenario: (scenario) => {
        this.output.nameScenario(scenario.name, scenario.title ?? scenario.name.replaceAll("_", " "));
        this.results.scenario(scenario);
      },
      state: (state) => this.#stateChanged(run, state),
      report: () => this.results.report(run.report),
    });
  }

  async #start(kind) {
    this.#buttons(false);
    try {
      if (!(await this.autosave.save())) return toast("Not started: your text is not saved yet.", "error");
      const answer = await this.#post({ kind, revision: this.autosave.revision });
      if (answer) this.#started(answer);
      return Boolean(answer);
    } finally {
      this.#buttons(true);
    }
  }

  async #post(body) {
    const headers = { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": this.csrf };
    try {
      const response = await fetch(this.urls.runs, { method: "POST", headers, body: JSON.stringify(body) });
      const answer = await response.json();
      if (response.ok) return answer;
      toast([answer.message, answer.advice].filter(Boolean).join(" "), "error");
    } catch {
      toast("The server cannot be reached. Your text is kept; try again in a moment.", "error");
    }
    return null;
  }

  #started({ run, events_url, report_url }) {
    this.#list.unshift({ id: run.id, kind: run.kind, createdAt: run.created_at, events: events_url, report: report_url });
    this.show(this.#list[0]);
    this.onStart();
  }

  #stateChanged(run, state) {
    this.results.state(state);
    byId("pane-output").dataset.running = String(state.state === "running");
  }

  #connected(up) {
    byId("notices").querySelector("[data-connection]")?.remove();
    if (up) return;
    const text = "The connection is lost. The run goes on; what you missed appears when we are back.";
    byId("notices").append(element("div", { className: "notice notice--warning", dataset: { connection: "" } }, element("p", { textContent: text })));
  }

  #listRuns(shown) {
    const label = (run, index) => {
      const when = new Date(run.createdAt).toLocaleTimeString([], { timeStyle: "short" });
      return `${run.kind === "submit" ? "Submission" : `Run ${this.#list.length - index}`}, ${when}`;
    };
    byId("run-choice").replaceChildren(
      ...this.#list.map((run, index) => element("option", { textContent: label(run, index), selected: run === shown })));
  }

  #buttons(enabled) {
    for (const id of ["run", "submit"]) byId(id).disabled = !enabled;
  }
}
