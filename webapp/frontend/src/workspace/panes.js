// The borders between panes: dragged or moved with arrow keys, remembered in this browser.
import { recall, remember } from "../storage.js";

const STEP = 24;
const PANES = {
  files: { least: 140, most: 480, sign: 1, axis: "x" },
  side: { least: 280, most: 900, sign: -1, axis: "x" },
  output: { least: 96, most: 640, sign: -1, axis: "y" },
};
const KEYS = { x: ["ArrowLeft", "ArrowRight"], y: ["ArrowUp", "ArrowDown"] };

export function splitPanes(workspace) {
  for (const splitter of workspace.querySelectorAll(".splitter")) new Splitter(workspace, splitter);
}

class Splitter {
  constructor(workspace, splitter) {
    Object.assign(this, {
      workspace,
      splitter,
      name: splitter.dataset.pane,
      pane: PANES[splitter.dataset.pane],
    });
    this.target = document.getElementById(splitter.getAttribute("aria-controls"));
    splitter.setAttribute("aria-valuemin", this.pane.least);
    splitter.setAttribute("aria-valuemax", this.pane.most);
    const kept = recall(this.#key());
    if (kept) this.#set(kept);
    else splitter.setAttribute("aria-valuenow", Math.round(this.#size()));
    splitter.addEventListener("pointerdown", (event) => this.#drag(event));
    splitter.addEventListener("keydown", (event) => this.#press(event));
  }

  #key() {
    return `offsetzero:pane:${this.name}`;
  }

  #size() {
    const box = this.target.getBoundingClientRect();
    return this.pane.axis === "x" ? box.width : box.height;
  }

  #set(size) {
    const room = this.pane.axis === "x" ? innerWidth * 0.6 : innerHeight * 0.7;
    const fitting = Math.round(Math.min(Math.max(size, this.pane.least), this.pane.most, room));
    this.workspace.style.setProperty(`--pane-${this.name}`, `${fitting}px`);
    this.splitter.setAttribute("aria-valuenow", fitting);
    remember(this.#key(), fitting);
  }

  #drag(event) {
    const place = (e) => (this.pane.axis === "x" ? e.clientX : e.clientY);
    const from = place(event);
    const size = this.#size();
    const move = (e) => this.#set(size + (place(e) - from) * this.pane.sign);
    event.preventDefault();
    this.splitter.setPointerCapture(event.pointerId);
    this.splitter.addEventListener("pointermove", move);
    this.splitter.addEventListener(
      "lostpointercapture",
      () => this.splitter.removeEventListener("pointermove", move),
      { once: true },
    );
  }

  #press(event) {
    const direction = [-1, 1][KEYS[this.pane.axis].indexOf(event.key)];
    if (!direction) return;
    event.preventDefault();
    this.#set(this.#size() + direction * this.pane.sign * STEP);
  }
}
