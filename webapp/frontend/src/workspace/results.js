// The Results tab: the scenarios fill in, the grader's story runs under each, then the checks.
import { byId, element } from "../dom.js";
import { isFinal } from "./stream.js";

const SIGNS = { PASS: "✓", FAIL: "✗", INCONCLUSIVE: "?", WARN: "!", HARNESS_ERROR: "⚙" };
const word = (verdict) => verdict.replace("_", " ");
const STATES = { waiting: "Waiting", running: "Running" };

function verdictBadge(verdict) {
  const sign = element("span", { textContent: SIGNS[verdict] });
  sign.setAttribute("aria-hidden", "true");
  return element("span", { className: `verdict verdict--${verdict}` }, sign, ` ${word(verdict)}`);
}

export class Results {
  #scenarios = new Map();
  #report = null;

  constructor({ onScenario }) {
    this.onScenario = onScenario;
  }

  clear() {
    this.#scenarios.clear();
    this.#report = null;
    byId("no-results").hidden = true;
    byId("run-view").hidden = false;
    byId("report-link").hidden = true;
    byId("stop").hidden = true;
    for (const id of ["progress", "scenarios", "checks", "run-state"]) byId(id).replaceChildren();
  }

  wait(text) {
    byId("run-state").className = "waiting";
    byId("run-state").textContent = text;
  }

  state({ text, state, verdict }) {
    this.wait(text);
    byId("run-state").classList.toggle("waiting", !isFinal(state));
    byId("stop").hidden = isFinal(state);
    if (verdict)
      byId("run-state").replaceChildren(
        verdictBadge(verdict),
        " ",
        element("a", { href: "#checks", textContent: "See the checks" }),
      );
  }

  scenario({ name, title, state, verdict }) {
    const row = this.#row(name, title);
    if (state === "running" && row.story.childElementCount)
      this.story({ scenario: name, text: "Played again, to be sure." });
    row.cell.dataset.state = state;
    if (state !== "done") {
      row.badge.textContent = STATES[state];
      return;
    }
    row.cell.dataset.verdict = verdict;
    row.cell.replaceChildren(SIGNS[verdict]);
    row.cell.setAttribute("aria-label", `${row.title}: ${word(verdict)}`);
    row.badge.replaceWith(verdictBadge(verdict));
    const done = byId("progress").querySelectorAll("[data-verdict]").length;
    this.wait(`${done} of ${this.#scenarios.size} scenarios played.`);
  }

  story({ scenario, text }) {
    const row = this.#row(scenario);
    row.story.append(element("li", { textContent: text }));
  }

  /** Shows the checks, which the server renders, and the way to the full report. */
  async report(url) {
    byId("report-link").href = url;
    byId("report-link").hidden = false;
    this.#report = url;
    const answer = await fetch(`${url}?part=checks`);
    if (!answer.ok || this.#report !== url) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    byId("checks").replaceChildren(...page.body.children);
  }

  #row(name, title = name.replaceAll("_", " ")) {
    if (!this.#scenarios.has(name)) this.#scenarios.set(name, this.#newRow(name, title));
    return this.#scenarios.get(name);
  }

  #newRow(name, title) {
    const number = this.#scenarios.size;
    const cell = element("a", {
      className: "log__record",
      href: `#scenario-${name}`,
      textContent: String(number),
      title,
    });
    cell.setAttribute("aria-label", title);
    byId("progress").append(cell);
    const badge = element("span", { className: "verdict", textContent: STATES.waiting });
    const story = element("ol", { className: "story" });
    const head = element("button", {
      type: "button",
      className: "scenarios__name",
      textContent: title,
      title: "Show this scenario's output",
    });
    head.addEventListener("click", () => this.onScenario(name));
    byId("scenarios").append(
      element(
        "li",
        { id: `scenario-${name}` },
        element("div", { className: "scenarios__head" }, head, badge),
        story,
      ),
    );
    return { cell, badge, story, title };
  }
}
