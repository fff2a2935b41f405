// SPDX-License-Identifier: Apache-2.0
// api.js - the console's endpoints (cast/server/console.h says what they answer), and a watch over the server's state.
//
// A session's token stays in this tab (sessionStorage) and travels as a header, so no other site can make the browser
// send it.

const TIMEOUT_MS = 6000, EVERY_MS = 1000, BACKOFF_MS = [1000, 2000, 4000, 8000, 15000];

/** What went wrong: kind is "unreachable", "refused" (no or an old token), "invalid" (400), "busy" (429) or "server". */
export class Problem extends Error {
    constructor(kind, cause, remedy = "") {
        super(cause);
        this.kind = kind;
        this.cause_text = cause;
        this.remedy = remedy;
    }
    get shown() { return {cause: this.cause_text, remedy: this.remedy}; }
}

let memory = null;
export const session = {
    get token() { try { return sessionStorage.getItem("weftcast.token") ?? memory; } catch { return memory; } },
    set token(value) {
        memory = value;
        try {
            if (value === null) sessionStorage.removeItem("weftcast.token");
            else sessionStorage.setItem("weftcast.token", value);
        } catch { /* it lasts as long as the page */ }
    },
};

const unreachable = (why) => new Problem("unreachable", `The server does not answer: ${why}.`,
    "Look whether weftcast still runs and is reachable from here. The console goes on trying by itself.");

async function ask(path, options = {}) {
    const headers = {...options.headers};
    if (session.token) headers.Authorization = `token ${session.token}`;
    let answer, text;
    const given = new AbortController();
    const timer = setTimeout(() => given.abort(), TIMEOUT_MS);
    try {
        answer = await fetch(path, {cache: "no-store", credentials: "same-origin", ...options, headers, signal: given.signal});
        text = await answer.text();
    } catch {
        throw unreachable(given.signal.aborted ? `nothing came within ${TIMEOUT_MS / 1000} seconds` : "the connection failed");
    } finally {
        clearTimeout(timer);
    }
    if (answer.status === 401) throw new Problem("refused", "The server asks for a login.");
    if (answer.status === 429) {
        const seconds = Number(answer.headers.get("Retry-After")) || 60;
        throw new Problem("busy", "There were too many wrong passwords.", `Try again in ${seconds} s.`);
    }
    if (answer.status === 400) throw new Problem("invalid", "The server did not take the request.");
    if (!answer.ok) throw new Problem("server", `The server answered with status ${answer.status}.`, "Its log says more.");
    try {
        return JSON.parse(text);
    } catch {
        throw new Problem("server", "The answer was no JSON.", "Something between here and weftcast may be answering in its place.");
    }
}

/** {authenticated, insecure, login, websocket} */
export const readInit = () => ask("admin/init");

/** Trades a password for a token. */
export async function login(password) {
    session.token = null;
    const body = new URLSearchParams({password});
    session.token = (await ask("admin/auth", {method: "POST", body})).token;
}

/**
 * A command of the server API. params is the text of a JSON object, so that a payload passes byte for byte. Returns the
 * result; an error of the API becomes a Problem.
 */
export async function command(method, params) {
    const answer = await ask("admin/api", {method: "POST", headers: {"Content-Type": "application/json"},
        body: `{"method":${JSON.stringify(method)},"params":${params}}`});
    if (answer.error) {
        const problem = new Problem("api", `${answer.error.message} (code ${answer.error.code}).`);
        problem.code = answer.error.code;
        throw problem;
    }
    return answer.result ?? {};
}

/**
 * Asks for the state once a second while the page can be seen; after a failure later and later.
 *
 * Events: "state" (detail: the answer), "status" (detail: {kind: connecting | live | reconnecting | refused | paused,
 * problem, retryAt}), "pattern" (detail: a Problem, or null: the channel filter was refused or taken).
 */
export class Watch extends EventTarget {
    #timer = null;
    #failures = 0;
    #asking = false;
    #again = false;
    #running = false;
    #bad = "";
    pattern = "";
    limit = 200;

    constructor() {
        super();
        document.addEventListener("visibilitychange", () => this.#visible());
        addEventListener("online", () => this.now());
    }

    start() {
        this.#running = true;
        this.#failures = 0;
        this.#tell("status", {kind: "connecting"});
        this.now();
    }

    stop() {
        this.#running = false;
        clearTimeout(this.#timer);
    }

    /** Asks at once, whatever the wait was. */
    now() {
        if (!this.#running || document.hidden) return;
        clearTimeout(this.#timer);
        if (this.#asking) this.#again = true;
        else this.#ask();
    }

    #visible() {
        if (!this.#running) return;
        if (!document.hidden) { this.now(); return; }
        clearTimeout(this.#timer);
        this.#tell("status", {kind: "paused"});
    }

    #tell(name, detail) { this.dispatchEvent(new CustomEvent(name, {detail})); }

    async #ask() {
        this.#asking = true;
        let wait = EVERY_MS;
        try {
            const query = new URLSearchParams({limit: this.limit});
            if (this.pattern && this.pattern !== this.#bad) query.set("pattern", this.pattern);
            const state = await ask(`admin/state?${query}`);
            this.#failures = 0;
            if (this.#running && !document.hidden) {
                this.#tell("status", {kind: "live"});
                if (!this.#bad || this.pattern !== this.#bad) this.#tell("pattern", null);
                this.#tell("state", state);
            }
        } catch (e) {
            wait = this.#failed(e);
        }
        this.#asking = false;
        if (!this.#running || document.hidden || wait === null) return;
        if (this.#again) wait = 0;
        this.#again = false;
        this.#timer = setTimeout(() => this.#ask(), wait);
    }

    /** Milliseconds until the next question, or null for none. */
    #failed(e) {
        if (!(e instanceof Problem)) throw e;
        if (e.kind === "refused") {
            this.stop();
            this.#tell("status", {kind: "refused", problem: e});
            return null;
        }
        if (e.kind === "invalid") {
            this.#bad = this.pattern;
            this.#tell("pattern", new Problem("invalid", "This filter is not a valid pattern.",
                "Close each [ and {, or type a plain part of the name."));
            return 0;
        }
        const wait = BACKOFF_MS[Math.min(this.#failures++, BACKOFF_MS.length - 1)];
        this.#tell("status", {kind: "reconnecting", problem: e, retryAt: Date.now() + wait});
        return wait;
    }
}
