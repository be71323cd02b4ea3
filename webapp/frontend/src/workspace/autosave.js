// Saves the project as it is typed. Every edit goes to this browser's storage at once and to the
// server within a second; the copy here is dropped only when the server has confirmed the same text.
// So neither a closed tab nor a killed server loses more than the last moment.
// Events: "saving", "saved" {at}, "unsaved" {reason}, "conflict" {revision, files}.
import { canonical } from "./project.js";

const SAVE_AFTER_MS = 700;
const RETRY_MS = [1000, 2000, 4000, 8000];
const KEEPALIVE_LIMIT = 60_000; // browsers refuse to finish larger requests of a closed page

export class Autosave extends EventTarget {
  #timer = null;
  #sending = null;
  #failures = 0;
  #conflict = false;

  constructor(project, draft, { url, csrf, revision }) {
    super();
    Object.assign(this, { project, draft, url, csrf, revision });
    project.addEventListener("edit", () => this.#edited());
    for (const moment of ["blur", "online", "pagehide"])
      addEventListener(moment, () => this.save());
  }

  get clean() {
    return this.draft.empty;
  }

  /** Saves what is not saved; resolves to whether the server has it all. */
  async save() {
    clearTimeout(this.#timer);
    this.#timer = null;
    while (this.#sending) await this.#sending;
    if (this.clean || this.#conflict) return this.clean;
    this.#sending = this.#put(canonical(this.project.files));
    await this.#sending;
    return this.clean;
  }

  /** Nothing is sent until resume(): two versions met and a person has to choose. */
  hold() {
    this.#conflict = true;
  }

  /** After a conflict: the project as it is now builds on this revision. */
  resume(revision) {
    this.#conflict = false;
    this.revision = revision;
    this.#edited();
  }

  #edited() {
    this.draft.keep(this.revision, canonical(this.project.files));
    this.#tell("saving");
    this.#timer ??= setTimeout(() => this.save(), SAVE_AFTER_MS);
  }

  async #put(files) {
    const body = `{"files":${files},"base":${this.revision}}`;
    this.draft.sent(files);
    try {
      const response = await fetch(this.url, {
        method: "PUT",
        body,
        keepalive: new Blob([body]).size < KEEPALIVE_LIMIT,
        headers: {
          "Content-Type": "application/json",
          Accept: "application/json",
          "X-CSRFToken": this.csrf,
        },
      });
      this.#answered(response, await response.json().catch(() => ({})), files);
    } catch {
      this.#failed("the server cannot be reached.");
    } finally {
      this.#sending = null;
    }
  }

  #answered(response, answer, files) {
    if (response.ok) return this.#confirmed(answer, files);
    if (response.status === 409 && answer.files) return this.#tell("conflict", answer);
    return this.#failed(
      [answer.message, answer.advice].filter(Boolean).join(" ") || `error ${response.status}.`,
    );
  }

  #confirmed(answer, files) {
    this.#failures = 0;
    this.revision = answer.revision;
    if (files !== canonical(this.project.files)) return this.#edited();
    this.draft.drop();
    return this.#tell("saved", { at: new Date(answer.saved_at) });
  }

  #failed(reason) {
    const wait = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)];
    this.#tell("unsaved", { reason });
    this.#timer ??= setTimeout(() => this.save(), wait);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
