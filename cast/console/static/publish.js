// SPDX-License-Identifier: Apache-2.0
// publish.js - the publish form. JSON goes to the server as it was typed, byte for byte: the request is put together as
// text, and JSON.parse only judges it.
import {command, Problem} from "./api.js";
import {byId, formatTime, settings, setText, showProblem} from "./dom.js";

const REMEDIES = {
    102: "What stands before the colon names a namespace; this one is not in channel.namespaces.",
    107: "A channel's name has 1 to 255 ASCII characters, and there must be data.",
};

function dataOf(text, asText) {
    if (asText) return JSON.stringify(text);
    try {
        JSON.parse(text);
    } catch (e) {
        throw new Problem("input", "The data is not JSON.", `${e.message}. To send it as it stands, choose Text.`);
    }
    return text;
}

export class Publish {
    #channel = byId("publish-channel");
    #data = byId("publish-data");
    #busy = false;
    #refused;

    /** refused(): the session has ended. */
    constructor(refused) {
        this.#refused = refused;
        this.#channel.value = settings.get("channel") ?? "";
        byId("publish-form").addEventListener("submit", (e) => { e.preventDefault(); this.#send(); });
        byId("publish-form").addEventListener("keydown", (e) => {
            if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); this.#send(); }
        });
        for (const choice of byId("publish-form").elements.as)
            choice.addEventListener("change", () => this.#explain());
        this.#data.addEventListener("input", () => this.#data.removeAttribute("aria-invalid"));
        this.#channel.addEventListener("input", () => this.#channel.removeAttribute("aria-invalid"));
    }

    /** Takes a channel from elsewhere and goes to the data. */
    take(channel) {
        this.#channel.value = channel;
        this.#channel.removeAttribute("aria-invalid");
        this.#data.focus();
    }

    /** Takes a channel only if none is there. */
    suggest(channel) { if (!this.#channel.value) this.#channel.value = channel; }

    get #asText() { return byId("publish-form").elements.as.value === "text"; }

    #explain() {
        byId("publish-hint").firstChild.data = this.#asText ? "Sent as one JSON string. " : "JSON, sent as it stands. ";
    }

    #wrong(field, problem) {
        field?.setAttribute("aria-invalid", "true");
        field?.focus();
        setText(byId("publish-done"), "");
        showProblem(byId("publish-problem"), problem.shown);
    }

    async #send() {
        if (this.#busy) return;
        showProblem(byId("publish-problem"), null);
        const channel = this.#channel.value.trim();
        let data;
        if (!channel) {
            this.#wrong(this.#channel, new Problem("input", "No channel is given.", "Any name will do; it need not exist yet."));
            return;
        }
        try {
            data = dataOf(this.#data.value, this.#asText);
        } catch (e) {
            this.#wrong(this.#data, e);
            return;
        }
        this.#working(true);
        try {
            const result = await command("publish", `{"channel":${JSON.stringify(channel)},"data":${data}${
                byId("publish-skip").checked ? ',"skip_history":true' : ""}}`);
            settings.set("channel", channel);
            setText(byId("publish-done"), `Published in ${channel}${result.offset ? `, offset ${result.offset}` : ""} at ${formatTime(Date.now())}`);
        } catch (e) {
            this.#failed(e);
        } finally {
            this.#working(false);
        }
    }

    #failed(e) {
        if (!(e instanceof Problem)) throw e;
        if (e.kind === "refused") { this.#refused(e); return; }
        if (e.code) e.remedy = REMEDIES[e.code] ?? "The server's log says more.";
        if (e.kind === "unreachable") e.remedy = "It may or may not have been published. What you typed is still here.";
        this.#wrong(null, e);
    }

    #working(busy) {
        this.#busy = busy;
        byId("publish-send").setAttribute("aria-disabled", String(busy));
        setText(byId("publish-send"), busy ? "Publishing …" : "Publish");
    }
}
