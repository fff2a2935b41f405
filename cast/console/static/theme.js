// SPDX-License-Identifier: Apache-2.0
// theme.js - a theme that the visitor chose is set before the first paint: a plain script, not a module, so that it
// runs while the head is read. Without a choice the page follows the system.
(() => {
    let chosen = null;
    try { chosen = localStorage.getItem("weftcast.theme"); } catch { /* storage is off: the system's theme it is */ }
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
