// What was answered last, kept in this browser until it is forgotten.
import { byId, element } from "../dom.js";
import { forget, recall, remember } from "../storage.js";

const KEY = "guide-draft";

/** Keeps the fields of a page of questions. */
export function keep(entries, answered) {
  const fields = entries.filter(([name]) => name !== "csrf_token");
  remember(KEY, { fields, answered, at: Date.now() });
}

/** On the start page: the way back to the answers that were kept, if there are any. */
export function offerDraft(main) {
  const form = main.querySelector("#resume");
  const draft = recall(KEY);
  if (!form || !draft?.answered) return;
  const style = { dateStyle: "medium", timeStyle: "short" };
  const when = new Date(draft.at).toLocaleString("en-GB", style);
  const many = draft.answered === 1 ? "1 answer" : `${draft.answered} answers`;
  byId("resume-what").textContent = `${many}, kept in this browser on ${when}.`;
  for (const [name, value] of draft.fields)
    form.append(element("input", { type: "hidden", name, value }));
  byId("resume-forget").addEventListener("click", () => {
    forget(KEY);
    form.hidden = true;
  });
  form.hidden = false;
}
