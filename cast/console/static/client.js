// SPDX-License-Identifier: Apache-2.0
// client.js - a client of the JSON protocol over a WebSocket, for the subscribe pane. It knows nothing of the page.
//
//                 subscribe()            connect reply
//         idle -----------------> connecting -----------> connected
//          ^                       ^      |                   |
//          | last unsubscribe()    |      | not opened,       | cut, no ping, told to come back
//          | close()               |      v                   v
//          +----------------------------- waiting <-----------+          failed: refused for good (a bad token);
//                                  retry at retryAt                       retry() or configure() tries again
//
// Nothing is lost over a reconnect: every channel remembers its position (epoch and offset) and asks for what came after
// it; where the server cannot give that (no history, too long ago), a "gap" says so. Waits double from half a second to
// twenty, each times a random factor, so that many clients do not come back at once.
//
// Events (all CustomEvent, their detail in brackets):
//   state         {state, retryAt, problem: {cause, remedy}, client}
//   subscription  {channel, state: subscribing | subscribed | refused | gone, problem}
//   publication   {channel, raw, offset, info, tags, recovered}     raw: the data's own bytes
//   member        {channel, joined, info}
//   gap           {channel, cause}
import {rawElements, rawPath} from "./rawjson.js";

const REPLY_MS = 10000, PING_GRACE_MS = 10000, FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 20000;

const REMEDIES = {
    100: "Try again; the server's log says more.",
    101: "Give a connection token, or set client.allow_anonymous_connect_without_token.",
    102: "Channels before a colon name a namespace; this one is not in channel.namespaces.",
    103: "Allow it in the channel's namespace (allow_subscribe_for_client, and allow_subscribe_for_anonymous without a token), or give a subscription token.",
    106: "Remove some channels, or raise client.channel_limit.",
    107: "A channel's name has 1 to 255 ASCII characters.",
    109: "Make a new token, for example with weftcast gentoken.",
    3005: "Give a new connection token.",
    3006: "Give a new subscription token.",
    3500: "Check the connection token: its secret and algorithm must be those of client.token.",
    3501: "The server did not understand this page: are both of the same version?",
};

/** What to do about an error or disconnect code. */
export const remedyOf = (code) => REMEDIES[code] ?? "";

const forGood = (code) => (code >= 3500 && code < 4000) || (code >= 4500 && code < 5000);

export class Client extends EventTarget {
    #url; #token;
    #socket = null;
    #nextId = 1;
    #replies = new Map();     // id -> {take(reply, text), timer}
    #subs = new Map();        // channel -> {token, state, epoch, offset, recoverable, was, downSince}
    #state = "idle";
    #attempt = 0;
    #timer = null;            // of the next try
    #watchdog = null;
    #silenceMs = 0;
    #mayPong = false;

    constructor(url) {
        super();
        this.#url = url;
        addEventListener("online", () => { if (this.#state === "waiting") this.retry(); });
    }

    get state() { return this.#state; }
    get channels() { return [...this.#subs.keys()]; }

    /** Another address or token: takes hold with a new connection, now if there is one. */
    configure({url, token}) {
        if (url === this.#url && token === this.#token) return;
        this.#url = url;
        this.#token = token;
        if (this.#state !== "idle") this.retry();
    }

    subscribe(channel, token = "") {
        const sub = this.#subs.get(channel);
        if (sub && sub.state !== "refused" && sub.token === token) return;
        this.#subs.set(channel, {token, state: "subscribing", epoch: "", offset: 0, recoverable: false, was: false, downSince: 0});
        this.#tell("subscription", {channel, state: "subscribing"});
        if (this.#state === "connected") this.#send([this.#subscription(channel)]);
        else if (this.#state !== "connecting") this.retry();
    }

    unsubscribe(channel) {
        const sub = this.#subs.get(channel);
        if (!sub) return;
        this.#subs.delete(channel);
        this.#tell("subscription", {channel, state: "gone"});
        if (this.#subs.size === 0) this.close();
        else if (this.#state === "connected" && sub.state !== "refused")
            this.#send([this.#command({unsubscribe: {channel}}, () => {})]);
    }

    /** Connects at once, whatever the wait was. */
    retry() {
        if (this.#subs.size === 0) return;
        this.#drop();
        this.#open();
    }

    close() {
        this.#drop();
        this.#become("idle");
    }

    // ---- the connection ----

    #tell(name, detail) { this.dispatchEvent(new CustomEvent(name, {detail})); }

    #become(state, more = {}) {
        this.#state = state;
        this.#tell("state", {state, ...more});
    }

    /** Lets go of the socket; whatever it may still say is not heard. */
    #drop() {
        clearTimeout(this.#timer);
        clearTimeout(this.#watchdog);
        for (const {timer} of this.#replies.values()) clearTimeout(timer);
        this.#replies.clear();
        const socket = this.#socket;
        this.#socket = null;
        for (const [channel, sub] of this.#subs) {
            if (sub.state !== "subscribed") continue;
            Object.assign(sub, {state: "subscribing", downSince: Date.now()});
            this.#tell("subscription", {channel, state: "subscribing"});
        }
        if (socket && socket.readyState <= WebSocket.OPEN) socket.close(1000);
    }

    #open() {
        let socket;
        this.#become("connecting");
        try {
            socket = new WebSocket(this.#url);
        } catch {
            this.#fail({cause: `“${this.#url}” is no address of a WebSocket.`, remedy: "It begins with ws:// or wss://."});
            return;
        }
        let opened = false;
        this.#socket = socket;
        socket.onopen = () => {
            opened = true;
            if (socket === this.#socket) this.#send([this.#command({connect: this.#token ? {token: this.#token} : {}},
                (reply) => this.#connected(reply))]);
        };
        socket.onmessage = (e) => { if (socket === this.#socket) this.#receive(e.data); };
        socket.onclose = (e) => { if (socket === this.#socket) this.#closed(e, opened); };
    }

    #closed(e, opened) {
        let problem;
        if (!opened)
            problem = {cause: `No WebSocket could be opened at ${this.#url}.`,
                remedy: `If the server runs, it may not take this page (add ${location.origin} to client.allowed_origins) or no more connections (client.connection_limit).`};
        else if (e.code >= 3000)
            problem = {cause: `The server closed the connection: ${e.reason || "no reason given"} (code ${e.code}).`, remedy: remedyOf(e.code)};
        else
            problem = {cause: `The connection was lost (code ${e.code}).`, remedy: "It comes back by itself and asks for what it missed."};
        if (forGood(e.code)) this.#fail(problem);
        else this.#wait(problem);
    }

    #wait(problem) {
        this.#drop();
        const most = Math.min(FIRST_WAIT_MS * 2 ** this.#attempt++, LONGEST_WAIT_MS);
        const wait = most / 2 + Math.random() * most / 2;
        this.#timer = setTimeout(() => this.#open(), wait);
        this.#become("waiting", {retryAt: Date.now() + wait, problem});
    }

    #fail(problem) {
        this.#drop();
        this.#become("failed", {problem});
    }

    /** Without a word for longer than the server's ping takes, the connection is dead. */
    #heard() {
        clearTimeout(this.#watchdog);
        if (this.#silenceMs)
            this.#watchdog = setTimeout(() => this.#wait({cause: "The server has gone silent: no ping came.", remedy: ""}), this.#silenceMs);
    }

    // ---- commands ----

    #command(body, take) {
        const id = this.#nextId++;
        const timer = setTimeout(() => this.#wait({cause: "The server did not answer a command.", remedy: ""}), REPLY_MS);
        this.#replies.set(id, {take, timer});
        return JSON.stringify({id, ...body});
    }

    #send(lines) {
        if (lines.length && this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(lines.join("\n"));
    }

    #connected(reply) {
        if (reply.error) {
            const problem = {cause: `The server refused the connection: ${reply.error.message} (code ${reply.error.code}).`,
                remedy: remedyOf(reply.error.code)};
            if (reply.error.temporary) this.#wait(problem);
            else this.#fail(problem);
            return;
        }
        this.#attempt = 0;
        this.#mayPong = Boolean(reply.connect.pong);
        this.#silenceMs = reply.connect.ping ? reply.connect.ping * 1000 + PING_GRACE_MS : 0;
        this.#heard();
        this.#become("connected", {client: reply.connect.client});
        this.#send([...this.#subs].filter(([, sub]) => sub.state !== "refused").map(([channel]) => this.#subscription(channel)));
    }

    #subscription(channel) {
        const sub = this.#subs.get(channel);
        const subscribe = {channel};
        if (sub.token) subscribe.token = sub.token;
        if (sub.recoverable) Object.assign(subscribe, {recover: true, epoch: sub.epoch, offset: sub.offset});
        return this.#command({subscribe}, (reply, text) => this.#subscribed(channel, sub, reply, text));
    }

    #subscribed(channel, sub, reply, text) {
        if (this.#subs.get(channel) !== sub) return;    // given up meanwhile
        if (reply.error) {
            if (reply.error.code === 105) return;
            sub.state = "refused";
            this.#tell("subscription", {channel, state: "refused", problem: {cause: `${reply.error.message} (code ${reply.error.code})`,
                remedy: remedyOf(reply.error.code)}});
            return;
        }
        const got = reply.subscribe;
        const asked = sub.recoverable;
        const before = sub.offset;
        sub.state = "subscribed";
        sub.recoverable = Boolean(got.recoverable);
        this.#tell("subscription", {channel, state: "subscribed", recoverable: sub.recoverable});
        if (asked && got.recovered) this.#recovered(channel, sub, got.publications ?? [], text, before);
        else if (sub.was) this.#missed(channel, sub, asked);
        sub.epoch = got.epoch ?? "";
        sub.offset = Math.max(got.recovered ? sub.offset : 0, got.offset ?? 0);
        sub.was = true;
    }

    #recovered(channel, sub, publications, text, before) {
        const raws = rawElements(rawPath(text, "subscribe", "publications"));
        publications.forEach((pub, i) => {
            if (pub.offset !== undefined && pub.offset <= before) return;
            this.#publication(channel, pub, rawPath(raws[i], "data"), true);
        });
    }

    #missed(channel, sub, asked) {
        const seconds = Math.max(1, Math.round((Date.now() - sub.downSince) / 1000));
        this.#tell("gap", {channel, cause: asked
            ? `The server no longer has everything since the connection was lost (${seconds} s ago): messages may be missing here.`
            : `Connected again after ${seconds} s. This channel keeps no history, so messages of that time are not shown.`});
    }

    // ---- what comes ----

    #receive(text) {
        if (typeof text !== "string") return;
        this.#heard();
        for (const line of text.split("\n")) {
            if (!line) continue;
            let message;
            try {
                message = JSON.parse(line);
            } catch {
                this.#wait({cause: "The server sent something that is no JSON.", remedy: "Does the address lead to weftcast?"});
                return;
            }
            if (message.id) this.#reply(message, line);
            else if (message.push) this.#push(message.push, line);
            else if (this.#mayPong) this.#send(["{}"]);
            if (!this.#socket) return;    // ended by what came
        }
    }

    #reply(message, line) {
        const waiting = this.#replies.get(message.id);
        if (!waiting) return;
        this.#replies.delete(message.id);
        clearTimeout(waiting.timer);
        waiting.take(message, line);
    }

    #push(push, line) {
        const {channel} = push;
        const sub = this.#subs.get(channel);
        if (push.disconnect) this.#closed({code: push.disconnect.code, reason: push.disconnect.reason}, true);
        else if (!sub) return;    // a server-side subscription, or one that was just given up
        else if (push.pub) {
            if (push.pub.offset) sub.offset = push.pub.offset;
            this.#publication(channel, push.pub, rawPath(line, "push", "pub", "data"), false);
        } else if (push.join || push.leave) {
            this.#tell("member", {channel, joined: Boolean(push.join), info: (push.join ?? push.leave).info});
        } else if (push.unsubscribe) this.#unsubscribed(channel, sub, push.unsubscribe);
    }

    #publication(channel, pub, raw, recovered) {
        this.#tell("publication", {channel, raw: raw ?? "", offset: pub.offset, info: pub.info, tags: pub.tags, recovered});
    }

    /** Codes from 2500 on ask for a new subscription; those below mean it. */
    #unsubscribed(channel, sub, {code, reason}) {
        if (code >= 2500) {
            Object.assign(sub, {state: "subscribing", downSince: Date.now()});
            this.#tell("subscription", {channel, state: "subscribing"});
            this.#send([this.#subscription(channel)]);
            return;
        }
        sub.state = "refused";
        this.#tell("subscription", {channel, state: "refused", problem: {cause: `The server ended the subscription: ${reason} (code ${code})`,
            remedy: "Subscribe again if it should go on."}});
    }
}
