// SPDX-License-Identifier: Apache-2.0
// listen.js - the subscribe pane: a client of the protocol like any other (client.js), and what it hears.
//
// Messages arrive faster than a screen changes, so they are kept and painted once a frame, the newest on top, the last
// KEEP of them; a count says how many there were in all. "Pause" stops the painting, not the hearing. Screen readers are
// told how many came, at most every few seconds, and read the list when they want to.
import {Client} from "./client.js";
import {announce, byId, formatTime, formatWhole, make, setText, showProblem} from "./dom.js";

const KEEP = 500, SAY_EVERY_MS = 4000;

const STATES = {
    idle: "Not connected", connecting: "Connecting …", connected: "Connected", waiting: "Reconnecting …", failed: "Refused",
};

export class Listen {
    #client = null;
    #chips = new Map();     // channel -> element
    #waiting = [];          // to be painted, oldest first
    #total = 0;
    #paused = false;
    #frame = null;
    #countdown = null;
    #unsaid = 0;
    #sayTimer = null;
    #list = byId("messages");
    #changed;

    /** changed(channel): a subscription has begun or ended, so the numbers are worth a look. */
    constructor(changed) {
        this.#changed = changed;
        byId("listen-form").addEventListener("submit", (e) => { e.preventDefault(); this.#submit(); });
        byId("listen-retry").addEventListener("click", () => this.#client.retry());
        byId("listen-clear").addEventListener("click", () => this.#clear());
        byId("listen-pause").addEventListener("click", () => this.#pause(!this.#paused));
        byId("listen-channels").addEventListener("click", (e) => this.#remove(e));
        byId("listen-channel").addEventListener("input", (e) => e.target.removeAttribute("aria-invalid"));
        document.addEventListener("visibilitychange", () => this.#paintSoon());
    }

    /** path: where the server takes WebSockets; "" where it takes none. */
    start(path) {
        const scheme = location.protocol === "https:" ? "wss" : "ws";
        if (!byId("listen-url").value && path) byId("listen-url").value = `${scheme}://${location.host}${path}`;
        if (!path) showProblem(byId("listen-problem"), {cause: "The server takes no WebSockets here.",
            remedy: "websocket.disabled is set; another address can be given below “Address and tokens”."});
    }

    stop() { for (const channel of this.#client?.channels ?? []) this.#client.unsubscribe(channel); }

    open(channel, token = "") {
        const url = byId("listen-url").value.trim();
        const connection = {url, token: byId("listen-token").value.trim()};
        if (!this.#client) this.#make(url);
        this.#client.configure(connection);
        this.#client.subscribe(channel, token);
    }

    #submit() {
        const field = byId("listen-channel");
        const channel = field.value.trim();
        if (!channel) {
            field.setAttribute("aria-invalid", "true");
            field.focus();
            showProblem(byId("listen-problem"), {cause: "No channel is given.", remedy: "Any name will do; it need not exist yet."});
            return;
        }
        showProblem(byId("listen-problem"), null);
        this.open(channel, byId("listen-subtoken").value.trim());
        field.select();
    }

    #make(url) {
        const client = this.#client = new Client(url);
        const on = (name, take) => client.addEventListener(name, (e) => take(e.detail));
        on("state", (s) => this.#state(s));
        on("subscription", (s) => this.#subscription(s));
        on("publication", (p) => this.#hear({...p, kind: "publication"}));
        on("member", (m) => this.#hear({...m, kind: "member"}));
        on("gap", (g) => { this.#hear({...g, kind: "gap"}); announce(g.cause); });
    }

    // ---- connection and channels ----

    #state({state, retryAt, problem}) {
        clearInterval(this.#countdown);
        byId("client-status").dataset.kind = state;
        setText(byId("client-status-text"), STATES[state]);
        byId("listen-retry").hidden = state !== "waiting" && state !== "failed";
        if (state === "waiting") {
            const show = () => setText(byId("client-status-text"), `Reconnecting in ${Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))} s`);
            show();
            this.#countdown = setInterval(show, 500);
        }
        if (state !== "connecting") showProblem(byId("listen-problem"), problem);
        if (state === "connected") announce("Subscribe pane connected");
        this.#changed();
    }

    #subscription({channel, state, problem, recoverable}) {
        if (state === "gone") {
            this.#chips.get(channel)?.remove();
            this.#chips.delete(channel);
            this.#changed();
        } else {
            const chip = this.#chips.get(channel) ?? this.#chip(channel);
            chip.dataset.kind = state;
            chip.title = state === "subscribed" ? recoverable ? "Recovers what it misses" : "Keeps no history to recover from" : "";
            setText(chip.querySelector(".state"), state === "subscribing" ? "…" : state === "refused" ? "refused" : "");
            if (state === "subscribed") { announce(`Subscribed to ${channel}`); this.#changed(channel); }
        }
        if (problem) showProblem(byId("listen-problem"), {cause: `${channel}: ${problem.cause}.`, remedy: problem.remedy});
        this.#empty();
    }

    #chip(channel) {
        const chip = make("li", {class: "chip"}, make("span", {class: "dot"}), make("span", {class: "name"}, channel),
            make("span", {class: "state"}), make("button", {type: "button", "aria-label": `Unsubscribe from ${channel}`, title: "Unsubscribe"}, "✕"));
        chip.channel = channel;
        this.#chips.set(channel, chip);
        byId("listen-channels").append(chip);
        return chip;
    }

    #remove(e) {
        const chip = e.target.closest("button")?.closest("li");
        if (!chip) return;
        const next = chip.nextElementSibling ?? chip.previousElementSibling;
        this.#client.unsubscribe(chip.channel);
        announce(`Unsubscribed from ${chip.channel}`);
        showProblem(byId("listen-problem"), null);
        (next?.querySelector("button") ?? byId("listen-channel")).focus();
    }

    // ---- messages ----

    #hear(message) {
        message.at = Date.now();
        if (message.kind === "publication") { this.#total++; this.#say(); }
        this.#waiting.push(message);
        if (this.#waiting.length > KEEP * 2) this.#waiting.splice(0, KEEP);
        this.#paintSoon();
    }

    #say() {
        this.#unsaid++;
        this.#sayTimer ??= setTimeout(() => {
            announce(this.#unsaid === 1 ? "1 new message" : `${this.#unsaid} new messages`);
            this.#unsaid = 0;
            this.#sayTimer = null;
        }, SAY_EVERY_MS);
    }

    #paintSoon() {
        if (!document.hidden) this.#frame ??= requestAnimationFrame(() => { this.#frame = null; this.#paint(); });
    }

    #paint() {
        setText(byId("message-count"), this.#total ? formatWhole(this.#total) : "");
        setText(byId("listen-pause"), !this.#paused ? "Pause" : this.#waiting.length ? `Go on (${formatWhole(this.#waiting.length)})` : "Go on");
        if (this.#paused || !this.#waiting.length) return;
        const items = this.#waiting.slice(-KEEP).reverse().map((m) => this.#item(m));
        this.#waiting = [];
        const box = byId("messages-box"), before = this.#list.scrollHeight, scrolled = box.scrollTop;
        this.#list.prepend(...items);
        if (scrolled > 0) box.scrollTop = scrolled + this.#list.scrollHeight - before;    // what is being read stays put
        while (this.#list.children.length > KEEP) this.#list.lastChild.remove();
        this.#empty();
    }

    #item(m) {
        const time = make("time", {datetime: new Date(m.at).toISOString()}, formatTime(m.at));
        const channel = make("span", {class: "channel"}, m.channel);
        const who = m.info ? `${m.info.user || "anonymous"} · ${(m.info.client ?? "").slice(0, 8)}` : "";
        if (m.kind === "gap") return make("li", {class: "message gap note"}, make("div", {class: "meta"}, time, channel), m.cause);
        if (m.kind === "member")
            return make("li", {class: "message note"}, make("div", {class: "meta"}, time, channel, `${who} ${m.joined ? "joined" : "left"}`));
        const meta = make("div", {class: "meta"}, time, channel);
        if (m.offset !== undefined) meta.append(make("span", {title: "Offset in the channel's history"}, `#${m.offset}`));
        if (m.recovered) meta.append(make("span", {title: "Sent while the connection was down"}, "recovered"));
        meta.append(make("span", {title: m.info?.client ?? ""}, who || "server API"));
        if (m.tags) meta.append(make("span", {}, Object.entries(m.tags).map(([k, v]) => `${k}=${v}`).join(" ")));
        return make("li", {class: "message"}, meta, make("div", {class: "data"}, m.raw));
    }

    #clear() {
        this.#list.replaceChildren();
        this.#waiting = [];
        this.#total = 0;
        this.#paint();
        this.#empty();
        announce("Messages cleared");
    }

    #pause(paused) {
        this.#paused = paused;
        byId("listen-pause").setAttribute("aria-pressed", String(paused));
        this.#paint();
    }

    #empty() {
        const none = this.#list.children.length === 0;
        byId("messages-empty").hidden = !none;
        if (none) setText(byId("messages-empty"), this.#chips.size === 0
            ? "Subscribe to a channel to see what is published in it. Several channels may be open at once."
            : "Nothing has been published yet. Publish something with the form, or with curl.");
    }
}
