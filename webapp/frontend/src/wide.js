// What is too wide scrolls by itself; then the keyboard must reach it.
const watch = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});

/** Lets the keyboard reach these nodes whenever they scroll. */
export function reachWhenWide(nodes) {
  for (const node of nodes) watch.observe(node);
}
