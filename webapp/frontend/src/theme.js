// Loaded before the first paint, so that a chosen theme does not flash up late. A classic script, since
// modules wait for the page: hence no imports.
try {
  const chosen = JSON.parse(localStorage.getItem("offsetzero:theme"));
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // No storage: the system's theme it is.
}
