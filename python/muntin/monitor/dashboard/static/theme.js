// Runs before the first paint, so that a page in the dark does not flash.
"use strict";
try {
  const theme = localStorage.getItem("muntin-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // without storage the system's theme holds
}
