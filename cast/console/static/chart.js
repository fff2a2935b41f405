// SPDX-License-Identifier: Apache-2.0
// chart.js - a line that moves: one value a second over the last two minutes, newest at the right.
//
// Drawn in the pixels that the element has (a ResizeObserver tells), so lines stay sharp. A second without an answer is a
// gap, not a zero. The numbers stand beside it as text; for a screen reader the picture is that text.
import {formatRate, make} from "./dom.js";

const SECONDS = 120, PAD = 6;
const SVG = "http://www.w3.org/2000/svg";

function shape(name, attributes) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
}

/** The next of 1, 2, 5, 10, 20 … that is not below n. */
function niceTop(n) {
    const ten = 10 ** Math.floor(Math.log10(Math.max(n, 1)));
    return [1, 2, 5, 10].map((f) => f * ten).find((top) => top >= n) ?? 10 * ten;
}

export class Chart {
    #values = [];    // {at, value}: value null for a gap
    #box; #svg; #area; #line; #cursor; #dot; #top; #note;
    #name;
    #hover = null;

    constructor(box, name) {
        this.#box = box;
        this.#name = name;
        this.#svg = shape("svg", {class: "chart-svg", role: "img", "aria-label": name});
        this.#area = shape("path", {class: "chart-area"});
        this.#line = shape("path", {class: "chart-line"});
        this.#cursor = shape("line", {class: "chart-cursor", visibility: "hidden"});
        this.#dot = shape("circle", {class: "chart-dot", r: 3.5, visibility: "hidden"});
        this.#svg.append(this.#area, this.#cursor, this.#line, this.#dot);
        this.#top = make("span", {class: "chart-top", "aria-hidden": "true"});
        this.#note = make("span", {class: "chart-note", "aria-hidden": "true"});
        box.append(this.#svg, this.#top, this.#note);
        box.addEventListener("pointermove", (e) => { this.#hover = e.clientX - box.getBoundingClientRect().left; this.draw(); });
        box.addEventListener("pointerleave", () => { this.#hover = null; this.draw(); });
        new ResizeObserver(() => this.draw()).observe(box);
    }

    add(value, at = Date.now()) {
        this.#values.push({at, value});
        while (this.#values.length && this.#values[0].at < at - (SECONDS + 2) * 1000) this.#values.shift();
        this.draw();
    }

    /** Runs of values without gaps; a wait of seconds between two answers is none: their difference is its mean. */
    #runs() {
        const runs = [];
        let run = null;
        for (const v of this.#values) {
            if (v.value === null) run = null;
            else if (run) run.push(v);
            else runs.push(run = [v]);
        }
        return runs;
    }

    draw() {
        const width = this.#box.clientWidth, height = this.#box.clientHeight;
        if (!width || !height) return;
        const last = this.#values.at(-1);
        const now = last ? last.at : Date.now();
        const most = niceTop(Math.max(5, ...this.#values.map((v) => v.value ?? 0)));
        const x = (at) => width - PAD - (now - at) / 1000 * (width - PAD) / SECONDS;
        const y = (value) => height - 1 - value / most * (height - 1 - PAD);
        const runs = this.#runs();
        const lines = runs.map((r) => r.map((v, i) => `${i ? "L" : "M"}${x(v.at).toFixed(1)} ${y(v.value).toFixed(1)}`).join(""));
        this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
        this.#line.setAttribute("d", lines.join(""));
        this.#area.setAttribute("d", runs.map((r, i) => `${lines[i]}V${height}H${x(r[0].at).toFixed(1)}Z`).join(""));
        this.#top.textContent = formatRate(most);
        const known = this.#values.filter((v) => v.value !== null);
        const marked = this.#hover === null || !known.length ? last?.value === null ? null : last
            : known.reduce((a, b) => Math.abs(x(b.at) - this.#hover) < Math.abs(x(a.at) - this.#hover) ? b : a);
        this.#mark(marked, now, height, x, y);
        this.#svg.setAttribute("aria-label", last ? `${this.#name}: now ${formatRate(last.value)}, at most ${
            formatRate(Math.max(0, ...known.map((v) => v.value)))} in the last two minutes` : `${this.#name}: no value yet`);
    }

    #mark(v, now, height, x, y) {
        const hovered = Boolean(v) && this.#hover !== null;
        this.#dot.setAttribute("visibility", v ? "visible" : "hidden");
        this.#cursor.setAttribute("visibility", hovered ? "visible" : "hidden");
        this.#note.textContent = hovered ? `${formatRate(v.value)} · ${Math.round((now - v.at) / 1000)} s ago` : "";
        if (!v) return;
        this.#dot.setAttribute("cx", x(v.at));
        this.#dot.setAttribute("cy", y(v.value));
        for (const [key, value] of Object.entries({x1: x(v.at), x2: x(v.at), y1: 0, y2: height})) this.#cursor.setAttribute(key, value);
    }
}
