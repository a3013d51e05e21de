// Runs before anything is drawn, so that a chosen theme does not flash the other one first.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem('millgate.theme');
  } catch {
    // Storage may be closed to the page; the system's theme holds then.
  }
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
})();
