// SPDX-License-Identifier: Apache-2.0
// shortcuts.js - single keys, outside of fields only, and the list that shows them. They can be switched off there, for
// those whose software types letters for them.
import {byId, settings} from "./dom.js";

const typing = (element) => element?.closest?.("input:not([type=radio], [type=checkbox]), textarea, select") != null;

function showKeys() {
    byId("keys-on").checked = settings.get("keys") !== "off";
    byId("keys").showModal();
}

function focusOn(id) {
    const element = byId(id);
    if (element.closest("[hidden]")) return false;
    element.focus();
    element.select?.();
    return true;
}

/** actions: {key: function that returns whether the key was used}. */
export function startShortcuts(toggleTheme) {
    const actions = {
        "s": () => focusOn("listen-channel"),
        "p": () => focusOn("publish-channel"),
        "/": () => focusOn("channels-filter"),
        "m": () => focusOn("messages-box"),
        "t": () => { toggleTheme(); return true; },
        "?": () => { showKeys(); return true; },
    };
    byId("help").addEventListener("click", showKeys);
    byId("keys-close").addEventListener("click", () => byId("keys").close());
    byId("keys-on").addEventListener("change", (e) => settings.set("keys", e.target.checked ? null : "off"));
    document.addEventListener("keydown", (e) => {
        if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || byId("keys").open) return;
        if (e.key === "Escape" && typing(e.target)) { e.target.blur(); return; }
        if (typing(e.target) || settings.get("keys") === "off") return;
        if (actions[e.key]?.()) e.preventDefault();
    });
}
