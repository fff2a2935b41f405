// SPDX-License-Identifier: Apache-2.0
// dom.js - the few ways in which this page makes elements and texts.
//
// Data reaches the page as text nodes and attribute values only, never as markup; the server's Content-Security-Policy
// (trusted types) makes the browser refuse anything else.

/** The element of that id; a missing one is a mistake of ours, not something to live with. */
export function byId(id) {
    const found = document.getElementById(id);
    if (!found) throw new Error(`no element #${id}`);
    return found;
}

/** make("td", {class: "name"}, "text", child): attributes; false and null leave one out. */
export function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes))
        if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? "" : value);
    element.append(...children);
    return element;
}

/** Sets a text only where it differs: screen readers and selections are left alone otherwise. */
export function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
}

/**
 * Something went wrong: what, and what to do about it; null hides the box. The same words again are left as they stand,
 * for an alert that is written anew is read out anew.
 */
export function showProblem(box, problem) {
    const words = problem ? [problem.cause, problem.remedy].filter(Boolean) : [];
    if (!box.hidden && problem && box.words === words.join("\n")) return;
    box.hidden = !problem;
    box.words = words.join("\n");
    box.replaceChildren(...words.map((text, i) => make(i ? "span" : "strong", {}, text)));
}

/** Says something to screen readers, once nothing else is being said. */
export function announce(text) {
    const region = byId("announcer");
    region.textContent = "";
    setTimeout(() => { region.textContent = text; }, 60);
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 3});
const tenth = new Intl.NumberFormat("en", {maximumFractionDigits: 1});

export const formatCount = (n) => n >= 1e6 ? short.format(n) : whole.format(n);
export const formatWhole = (n) => whole.format(n);
export const formatRate = (n) => n === null ? "–" : n < 10 ? tenth.format(n) : formatCount(Math.round(n));

export function formatBytes(n) {
    const units = ["B", "KB", "MB", "GB"];
    let at = 0;
    while (n >= 1000 && at < units.length - 1) { n /= 1000; at++; }
    return `${n < 10 && at > 0 ? tenth.format(n) : whole.format(Math.round(n))} ${units[at]}`;
}

export function formatDuration(ms) {
    const s = Math.floor(ms / 1000);
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

export function formatTime(ms) {
    const d = new Date(ms);
    const two = (n) => String(n).padStart(2, "0");
    return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, "0")}`;
}

/** A setting of this browser; without storage the default holds. */
export const settings = {
    get(name) { try { return localStorage.getItem(`weftcast.${name}`); } catch { return null; } },
    set(name, value) {
        try {
            if (value === null) localStorage.removeItem(`weftcast.${name}`);
            else localStorage.setItem(`weftcast.${name}`, value);
        } catch { /* it holds until the page is left */ }
    },
};
