// The text that the server has not confirmed, kept in this browser.
import { forget, recall, remember } from "../storage.js";
import { canonical } from "./project.js";

export class Draft {
  constructor(attemptId) {
    this.key = `offsetzero:draft:${attemptId}`;
    this.kept = recall(this.key);
  }

  get empty() {
    return this.kept === null;
  }

  /** `files` is the project's canonical text, `base` the server's revision it builds on. */
  keep(base, files) {
    this.kept = { ...this.kept, base, files, at: new Date().toISOString() };
    this.#store();
  }

  /** Notes what is on its way, to know it again if its answer never arrives. */
  sent(files) {
    if (this.empty) return;
    this.kept.sent = fingerprint(files);
    this.#store();
  }

  drop() {
    this.kept = null;
    forget(this.key);
  }

  /** What to do when the page opens on the server's files (a Map): "drop" (nothing is unsaved),
   *  "restore" (ours is the newer one) or "ask" (both changed). */
  against(revision, files) {
    if (this.empty) return "drop";
    const theirs = canonical(files);
    if (this.kept.files === theirs) return "drop";
    return this.kept.base === revision || this.kept.sent === fingerprint(theirs)
      ? "restore"
      : "ask";
  }

  #store() {
    remember(this.key, this.kept);
  }
}

/** FNV-1a with the length: tells our own earlier text from someone else's, nothing more. */
function fingerprint(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return `${text.length}:${hash >>> 0}`;
}
