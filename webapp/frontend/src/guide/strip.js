// The strip of decisions, changed in place; what moved is told to screen readers once.

/** Shows the strip of an answer from the server. */
export function update(node, strip) {
  const part = (parent, name) => parent.querySelector(`[data-strip="${name}"]`);
  const first = node.dataset.answered === "0";
  const moved = [];
  for (const decision of strip.decisions) {
    const row = node.querySelector(`[data-decision="${decision.id}"]`);
    const label = part(row, "label");
    if (label.textContent !== decision.label && !first)
      moved.push(`${decision.title} now leans to ${decision.label}.`);
    label.textContent = decision.label;
    const stance = row.querySelector(".stance");
    stance.className = `stance stance--${decision.state}`;
    stance.textContent = decision.state;
    part(row, "share").setAttribute("width", decision.first * 100);
    part(row, "words").textContent = `first in ${Math.round(decision.first * 100)} % of weightings`;
  }
  part(node, "summary").textContent = strip.summary;
  part(node, "news").textContent = [...moved, ...dropOut(strip), strip.summary].join(" ");
  node.dataset.answered = strip.answered;
  delete node.dataset.stale;
}

/** Marks the questions on this page that are not asked any more; says which answers that drops. */
function dropOut(strip) {
  const news = [];
  for (const one of document.querySelectorAll("[data-asked]")) {
    const dropped = !strip.asked.includes(one.dataset.asked);
    if (dropped && !("dropped" in one.dataset) && strip.dropped.includes(one.dataset.asked))
      news.push(`Not asked any more: ${one.querySelector("legend").textContent.trim()}`);
    one.toggleAttribute("data-dropped", dropped);
  }
  return news;
}
