// The short text of decision_guide/permalink.py, read in the browser: three bits a question.
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NOT_SURE = 6;
const NOT_APPLICABLE = 7;

/**
 * The answers of a permalink, as in ANSWERS.json. `model` has its `name` (id and short hash), the
 * `questions` with the ids of their answers, and the `reasons` why one does not apply. Throws an
 * Error whose message ends a sentence that begins with "This link".
 */
export function answersOf(model, permalink) {
  const cut = permalink.lastIndexOf(".");
  if (permalink.slice(0, cut) !== model.name)
    throw new Error(`was made for another version of the guide; here is ${model.name}`);
  const bits = [...permalink.slice(cut + 1)]
    .map((character) => ALPHABET.indexOf(character).toString(2).padStart(6, "0"))
    .join("");
  const number = (from, size) => {
    const text = bits.slice(from, from + size);
    if (!/^[01]+$/.test(text) || text.length < size) throw new Error("is damaged or cut off");
    return Number.parseInt(text, 2);
  };
  let reason = 3 * model.questions.length;
  const found = {};
  model.questions.forEach(([id, answers], place) => {
    const code = number(3 * place, 3);
    if (code === NOT_SURE) found[id] = "not sure";
    else if (code === NOT_APPLICABLE) {
      found[id] = { does_not_apply: model.reasons[number(reason, 2)] };
      reason += 2;
    } else if (code > answers.length) throw new Error("is damaged");
    else if (code) found[id] = answers[code - 1];
  });
  return found;
}
