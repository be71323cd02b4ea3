// Loaded before the first paint, so that a chosen theme does not flash up late.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // No storage: the system's theme it is.
}
