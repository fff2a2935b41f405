// SPDX-License-Identifier: Apache-2.0
// channels.js - the list of channels with subscribers: filtered by the server, sorted here.
//
// It changes every second under the reader's hands. Rows are therefore kept and changed in place, so that focus and
// selection stay, and while the pointer or the focus is inside the list no row moves or goes: a channel that has ended
// shows a zero until then.
import {announce, byId, formatWhole, make, setText, showProblem} from "./dom.js";

const FILTER_WAIT_MS = 250;
const byName = (a, b) => a.channel < b.channel ? -1 : a.channel > b.channel ? 1 : 0;

/** A plain part of a name becomes a pattern around it; what has a pattern's signs is one already. */
export function patternOf(text) {
    if (!text || /[*?[{]/.test(text)) return text;
    return `*${text.replace(/[\\\]},]/g, "\\$&")}*`;
}

export class Channels {
    #rows = new Map();    // channel -> {row, name, clients, count}
    #body = byId("channels");
    #sort = {by: "clients", down: true};
    #watch; #open; #publish;
    #timer = null;
    #last = [];

    /** open(channel) and publish(channel): what the buttons of a row do. */
    constructor(watch, open, publish) {
        this.#watch = watch;
        this.#open = open;
        this.#publish = publish;
        byId("channels-filter").addEventListener("input", (e) => this.#filter(e.target.value.trim()));
        for (const head of document.querySelectorAll("th[data-sort]"))
            head.querySelector("button").addEventListener("click", () => this.#sortBy(head));
        watch.addEventListener("pattern", (e) => {
            showProblem(byId("channels-problem"), e.detail?.shown);
            byId("channels-filter").setAttribute("aria-invalid", String(Boolean(e.detail)));
        });
        this.#body.addEventListener("click", (e) => this.#clicked(e));
    }

    show(state) {
        this.#last = state.list;
        this.#update(this.#busy());
        const shown = state.list.length;
        const filter = byId("channels-filter").value.trim();
        setText(byId("channels-count"), shown === 0 ? "" : shown < this.#watch.limit && filter
            ? `${formatWhole(shown)} of ${formatWhole(state.channels)}`
            : shown < this.#watch.limit ? formatWhole(shown) : `the ${formatWhole(shown)} largest of ${formatWhole(state.channels)}`);
        setText(byId("channels-empty"), filter ? "No channel with subscribers fits the filter." : "No channel has a subscriber.");
        byId("channels-empty").hidden = this.#rows.size > 0;
    }

    #busy() { return this.#body.matches(":hover") || this.#body.contains(document.activeElement); }

    #sorted() {
        const {by, down} = this.#sort;
        const compare = by === "channel" ? byName : (a, b) => a.clients - b.clients || -byName(a, b) * (down ? 1 : -1);
        return [...this.#last].sort((a, b) => down ? compare(b, a) : compare(a, b));
    }

    /** still: rows stay where they are. */
    #update(still) {
        const now = new Set();
        for (const {channel, clients} of this.#last) {
            now.add(channel);
            if (!this.#rows.has(channel)) this.#rows.set(channel, this.#make(channel));
            this.#count(this.#rows.get(channel), clients);
        }
        for (const [channel, entry] of this.#rows) {
            if (now.has(channel)) continue;
            this.#count(entry, 0);
            if (still) continue;
            entry.row.remove();
            this.#rows.delete(channel);
        }
        if (still) {
            for (const entry of this.#rows.values()) if (!entry.row.isConnected) this.#body.append(entry.row);
            return;
        }
        this.#sorted().forEach(({channel}, i) => {
            const {row} = this.#rows.get(channel);
            if (this.#body.children[i] !== row) this.#body.insertBefore(row, this.#body.children[i] ?? null);
        });
    }

    #count(entry, clients) {
        setText(entry.count, formatWhole(clients));
        entry.row.classList.toggle("gone", clients === 0);
    }

    #make(channel) {
        const count = make("td", {class: "number"});
        const row = make("tr", {}, make("td", {class: "name"}, channel), count, make("td", {class: "actions"},
            make("button", {type: "button", class: "small-button", "data-do": "open", "aria-label": `Open ${channel}`, title: "Subscribe"}, "Open"),
            make("button", {type: "button", class: "small-button", "data-do": "publish", "aria-label": `Publish in ${channel}`, title: "Publish here"}, "Publish")));
        row.channel = channel;
        return {row, count};
    }

    #clicked(e) {
        const button = e.target.closest("button[data-do]");
        if (!button) return;
        const {channel} = button.closest("tr");
        if (button.dataset.do === "open") this.#open(channel);
        else this.#publish(channel);
    }

    #filter(text) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => {
            this.#watch.pattern = patternOf(text);
            this.#watch.now();
        }, FILTER_WAIT_MS);
    }

    #sortBy(head) {
        const by = head.dataset.sort;
        const down = this.#sort.by === by ? !this.#sort.down : by === "clients";
        this.#sort = {by, down};
        for (const other of document.querySelectorAll("th[data-sort]"))
            other.setAttribute("aria-sort", other !== head ? "none" : down ? "descending" : "ascending");
        this.#update(false);
        announce(`Sorted by ${by === "clients" ? "subscribers" : "channel"}, ${down ? "descending" : "ascending"}`);
    }
}
