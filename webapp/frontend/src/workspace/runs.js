// Starting runs and showing one of them.
import { ask, byId, element, toast } from "../dom.js";
import { openStream } from "./stream.js";

export class Runs {
  #stop = () => {};
  #list;
  #shown;

  constructor({ urls, csrf, runs, autosave, output, results, onStart }) {
    Object.assign(this, { urls, csrf, autosave, output, results, onStart });
    this.#list = runs;
    byId("run-choice").addEventListener("change", (event) =>
      this.show(this.#list[event.target.selectedIndex]),
    );
    byId("stop").addEventListener("click", () => this.#post(this.#shown.cancel, {}));
    if (runs.length) this.show(runs[0]);
  }

  async run() {
    await this.#start("run");
  }

  async submit() {
    if (await ask(byId("confirm-submit"))) await this.#start("submit");
  }

  show(run) {
    this.#stop();
    this.#shown = run;
    this.#listRuns();
    this.#begin("Asking for the run's events.");
    this.#stop = openStream(run.events, {
      connection: (up) => this.#connected(up),
      resync: ({ message }) => this.#begin(message),
      output: (line) => this.output.add(line),
      story: (line) => this.results.story(line),
      scenario: (scenario) => {
        this.output.nameScenario(
          scenario.name,
          scenario.title ?? scenario.name.replaceAll("_", " "),
        );
        this.results.scenario(scenario);
      },
      state: (state) => {
        this.results.state(state);
        if (state.state === "done") this.results.report(run.report);
      },
    });
  }

  #begin(text) {
    this.results.clear();
    this.output.clear();
    this.results.wait(text);
  }

  async #start(kind) {
    this.#buttons(false);
    try {
      if (!(await this.autosave.save())) {
        toast("Not started: your text is not saved yet.", "error");
        return;
      }
      const answer = await this.#post(this.urls.runs, { kind, revision: this.autosave.revision });
      if (answer) this.#started(answer);
    } finally {
      this.#buttons(true);
    }
  }

  async #post(url, body) {
    const headers = {
      "Content-Type": "application/json",
      Accept: "application/json",
      "X-CSRFToken": this.csrf,
    };
    try {
      const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
      const answer = await response.json();
      if (response.ok) return answer;
      toast([answer.message, answer.advice].filter(Boolean).join(" "), "error");
    } catch {
      toast("The server cannot be reached. Your text is kept; try again in a moment.", "error");
    }
    return null;
  }

  #started({ run, events_url, report_url, cancel_url }) {
    const { id, number, kind, created_at } = run;
    this.#list.unshift({
      id,
      number,
      kind,
      createdAt: created_at,
      events: events_url,
      report: report_url,
      cancel: cancel_url,
    });
    this.show(this.#list[0]);
    this.onStart();
  }

  #connected(up) {
    byId("notices").querySelector("[data-connection]")?.remove();
    if (up) return;
    const text =
      "The connection is lost. The run goes on; what you missed appears when we are back.";
    byId("notices").append(
      element(
        "div",
        { className: "notice notice--warning", dataset: { connection: "" } },
        element("p", { textContent: text }),
      ),
    );
  }

  #listRuns() {
    const label = ({ kind, number, createdAt }) => {
      const when = new Date(createdAt).toLocaleTimeString([], { timeStyle: "short" });
      return `${kind === "submit" ? "Submission" : "Run"} ${number}, ${when}`;
    };
    byId("run-choice").replaceChildren(
      ...this.#list.map((run) =>
        element("option", { textContent: label(run), selected: run === this.#shown }),
      ),
    );
  }

  #buttons(enabled) {
    for (const id of ["run", "submit"]) byId(id).disabled = !enabled;
  }
}
