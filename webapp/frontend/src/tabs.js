// Tabs by the ARIA pattern: arrow keys move, the chosen one alone is in the tab order.

/** Wires the tabs inside `list` (again after some were added); calls chosen(tab) on a change. */
export function tabs(list, chosen) {
  const all = () => [...list.querySelectorAll("[role=tab]")];
  const choose = (tab) => {
    for (const other of all()) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
    }
    chosen(tab);
  };
  for (const tab of all()) {
    tab.tabIndex = tab.getAttribute("aria-selected") === "true" ? 0 : -1;
    tab.onclick = () => choose(tab);
  }
  list.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const those = all();
    const next = those.at((those.indexOf(event.target) + step) % those.length);
    next.focus();
    choose(next);
  };
  return { choose };
}
