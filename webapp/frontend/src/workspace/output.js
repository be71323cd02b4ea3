// The program's output: any number of lines, of which only those in view are in the page.
// All lines have one height, so that showing line n is a multiplication and nothing ever jumps.
import { attributes, byId, copyText, element } from "../dom.js";
import { tabs } from "../tabs.js";

const KEPT_LINES = 20_000;
const SPARE_LINES = 20;

export class Output {
  #lines = [];
  #shown = [];
  #instance = "";
  #scenario = "";
  #following = true;
  #followedTo = 0;
  #drawing = false;

  constructor() {
    this.box = byId("output");
    this.page = byId("output-lines");
    this.box.addEventListener("scroll", () => this.#scrolled());
    new ResizeObserver(() => this.#redraw()).observe(this.box);
    byId("follow").addEventListener("click", () => this.#follow(!this.#following));
    byId("output-scenario").addEventListener("change", (event) =>
      this.showScenario(event.target.value),
    );
    byId("output-copy").addEventListener("click", () =>
      copyText(this.#shown.map(plain).join("\n")),
    );
    this.clear();
  }

  clear() {
    this.#lines = [];
    this.#shown = [];
    this.#instance = "";
    this.#scenario = "";
    byId("output-scenario").replaceChildren(
      element("option", { value: "", textContent: "All scenarios" }),
    );
    byId("instances").replaceChildren();
    this.#addInstance("", "All");
    this.#follow(true);
    this.#redraw();
  }

  nameScenario(name, title) {
    const known = [...byId("output-scenario").options].some((option) => option.value === name);
    if (!known)
      byId("output-scenario").append(element("option", { value: name, textContent: title }));
  }

  /** `text` may hold many lines of one scenario, instance and stream. */
  add({ text, ...from }) {
    for (const line of text.replace(/\n$/, "").split("\n")) this.#addLine({ ...from, text: line });
    this.#redraw();
  }

  #addLine(line) {
    if (!byId("instances").querySelector(`[data-instance="${CSS.escape(line.instance)}"]`))
      this.#addInstance(line.instance, line.instance);
    this.#lines.push(line);
    if (this.#matches(line)) this.#shown.push(line);
    if (this.#lines.length > KEPT_LINES) this.#forgetOldest();
  }

  showScenario(name) {
    this.#scenario = name;
    byId("output-scenario").value = name;
    this.#filter();
  }

  #addInstance(name, label) {
    const tab = attributes(
      element("button", {
        type: "button",
        className: "tab",
        textContent: label,
        dataset: { instance: name },
      }),
      { role: "tab", "aria-controls": "output", "aria-selected": String(name === this.#instance) },
    );
    byId("instances").append(tab);
    tabs(byId("instances"), (chosen) => {
      this.#instance = chosen.dataset.instance;
      this.#filter();
    });
  }

  #filter() {
    this.#shown = this.#lines.filter((line) => this.#matches(line));
    this.#redraw();
  }

  #matches(line) {
    return (
      (!this.#instance || line.instance === this.#instance) &&
      (!this.#scenario || line.scenario === this.#scenario)
    );
  }

  #forgetOldest() {
    this.#lines.splice(0, KEPT_LINES / 10, {
      instance: "",
      stream: "note",
      text: "Older lines are left out here.",
    });
    this.#filter();
  }

  #follow(on) {
    this.#following = on;
    byId("follow").setAttribute("aria-pressed", String(on));
    if (on) this.#redraw();
  }

  #scrolled() {
    const movedUp = this.box.scrollTop < this.#followedTo - 4; // not by us: we only go down
    if (this.#following && movedUp) this.#follow(false);
    this.#redraw();
  }

  #redraw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#draw();
      this.#drawing = false;
    });
  }

  #draw() {
    const height = lineHeight(this.box);
    this.page.style.height = `${this.#shown.length * height}px`;
    if (this.#following) this.box.scrollTop = this.box.scrollHeight;
    this.#followedTo = this.box.scrollTop;
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - SPARE_LINES);
    const last = Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + SPARE_LINES;
    const block = element(
      "div",
      { className: "output__block" },
      ...this.#shown.slice(first, last).map((line) => this.#row(line)),
    );
    block.style.top = `${first * height}px`;
    this.page.replaceChildren(this.#shown.length ? block : this.#nothing());
  }

  #row(line) {
    const who =
      this.#instance || !line.instance
        ? null
        : element("span", { className: "output__who", textContent: line.instance });
    return element(
      "div",
      { className: `output__line output__line--${line.stream}` },
      who,
      line.text || " ",
    );
  }

  #nothing() {
    return element("p", {
      className: "output__empty",
      textContent: this.#lines.length
        ? "Nothing from this one."
        : "What your program prints appears here.",
    });
  }
}

const plain = (line) => (line.instance ? `${line.instance}  ${line.text}` : line.text);

const lineHeight = (box) => parseFloat(getComputedStyle(box).lineHeight);
