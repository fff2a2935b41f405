// SPDX-License-Identifier: Apache-2.0
// app.js - the console as a whole: who is let in, what is shown, the theme. Start reading here.
//
//   api.js       the endpoints, and the watch that asks for the server's state once a second
//   client.js    a protocol client over a WebSocket (with rawjson.js)
//   listen.js    the subscribe pane       publish.js   the publish form      channels.js  the list of channels
//   chart.js     a moving line            shortcuts.js keys                  dom.js       elements and texts
import {login, Problem, readInit, session, Watch} from "./api.js";
import {Channels} from "./channels.js";
import {Chart} from "./chart.js";
import {announce, byId, formatBytes, formatCount, formatDuration, formatRate, formatWhole, setText, settings, showProblem} from "./dom.js";
import {Listen} from "./listen.js";
import {Publish} from "./publish.js";
import {startShortcuts} from "./shortcuts.js";

const watch = new Watch();
const listen = new Listen((channel) => { if (channel) publish.suggest(channel); watch.now(); });
const publish = new Publish((problem) => refused(problem));
const channels = new Channels(watch, (channel) => listen.open(channel), (channel) => publish.take(channel));
const charts = {published: new Chart(byId("c-published"), "Messages published a second"),
    delivered: new Chart(byId("c-delivered"), "Messages delivered a second")};

// ---- the theme ----

const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";

function nameTheme() { setText(byId("theme-text"), isDark() ? "Light theme" : "Dark theme"); }

/** The other theme; a choice that is the system's own is not kept, so that the page follows the system again. */
function toggleTheme() {
    const theme = isDark() ? "light" : "dark";
    const own = theme !== (systemDark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    settings.set("theme", own ? theme : null);
    if (!own) delete document.documentElement.dataset.theme;
    nameTheme();
    announce(`${theme === "dark" ? "Dark" : "Light"} theme`);
}

// ---- the state ----

const STATUS = {connecting: "Connecting …", live: "Live", paused: "Paused", refused: "Not logged in"};
let countdown = null, before = null, lastKind = "";

function showStatus({kind, problem, retryAt}) {
    clearInterval(countdown);
    byId("status").dataset.kind = kind;
    const show = () => setText(byId("status-text"), kind !== "reconnecting" ? STATUS[kind]
        : `Reconnecting in ${Math.max(0, Math.ceil((retryAt - Date.now()) / 1000))} s`);
    show();
    if (kind === "reconnecting") {
        countdown = setInterval(show, 500);
        for (const name in charts) {
            charts[name].add(null);
            setText(byId(`r-${name}`), "–");
        }
    }
    byId("board").toggleAttribute("data-stale", kind !== "live");
    byId("again").hidden = kind !== "reconnecting";
    showProblem(byId("problem"), kind === "reconnecting" ? problem.shown : null);
    if (kind === "live" && lastKind === "reconnecting") announce("Connected to the server again");
    if (kind !== "connecting" && kind !== "paused") lastKind = kind;
}

/**
 * Rates are differences of two answers, half a second apart at least (an action asks in between); a server that has
 * started anew counts from zero, so it has none yet.
 */
function showRates(state) {
    const seconds = before ? (state.time_ms - before.time_ms) / 1000 : 0;
    if (before && seconds >= 0 && seconds < 0.5) return;
    const same = before && seconds > 0 && state.uptime_ms >= before.uptime_ms && state.published >= before.published;
    const rate = (name) => same ? Math.max(0, state[name] - before[name]) / seconds : null;
    for (const name in charts) {
        charts[name].add(rate(name));
        setText(byId(`r-${name}`), formatRate(rate(name)));
    }
    setText(byId("bytes"), same ? `${formatBytes(rate("bytes_sent"))} a second sent · ${formatRate(rate("received"))} commands a second` : "");
    before = state;
}

function showState(state) {
    for (const name of ["clients", "users", "channels", "subscriptions"]) {
        setText(byId(`n-${name}`), formatCount(state[name]));
        byId(`n-${name}`).title = formatWhole(state[name]);
    }
    setText(byId("node"), `${state.node} · up ${formatDuration(state.uptime_ms)}`);
    setText(byId("version"), `weftcast ${state.version.split(" ")[0]} · ${formatCount(state.connections)} connections and ${formatCount(state.delivered)} deliveries since the start`);
    showRates(state);
    channels.show(state);
}

// ---- who is let in ----

function only(shown) {
    for (const id of ["board", "login", "closed"]) byId(id).hidden = id !== shown;
}

function refused(problem) {
    const had = session.token !== null;
    session.token = null;
    watch.stop();
    listen.stop();
    before = null;
    byId("logout").hidden = true;
    setText(byId("login-why"), had ? "The session has ended, or the token is not this server's." : "This console is protected.");
    showStatus({kind: "refused", problem});
    only("login");
    byId("login-secret").focus();
}

function enter(init) {
    only("board");
    byId("logout").hidden = init.insecure || session.token === null;
    listen.start(init.websocket);
    watch.start();
}

let enterTimer = null, enterFailures = 0;

/** Asks who we are to the server; tries again for as long as it does not answer. */
async function begin() {
    clearTimeout(enterTimer);
    try {
        const init = await readInit();
        enterFailures = 0;
        showProblem(byId("problem"), null);
        if (init.authenticated) enter(init);
        else if (init.login) refused(new Problem("refused", "The server asks for a login."));
        else { showStatus({kind: "refused"}); only("closed"); }
    } catch (e) {
        if (!(e instanceof Problem)) throw e;
        const wait = Math.min(1000 * 2 ** enterFailures++, 15000);
        showStatus({kind: "reconnecting", problem: e, retryAt: Date.now() + wait});
        enterTimer = setTimeout(begin, wait);
    }
}

const byToken = () => byId("login-form").elements.by.value === "token";

async function submitLogin() {
    const field = byId("login-secret");
    showProblem(byId("login-problem"), null);
    if (!field.value) { field.focus(); return; }
    try {
        if (byToken()) session.token = field.value.trim();
        else await login(field.value);
        const init = await readInit();
        if (!init.authenticated) throw new Problem("refused", "");
        field.value = "";
        enter(init);
        byId("main").focus();
        announce("Logged in");
    } catch (e) {
        if (!(e instanceof Problem)) throw e;
        session.token = null;
        const wrong = e.kind === "invalid" || e.kind === "refused";
        showProblem(byId("login-problem"), !wrong ? e.shown : byToken()
            ? {cause: "The server does not take this token.", remedy: "It must be signed with this server's admin.secret and not be older than a day."}
            : {cause: "This is not the password.", remedy: "It stands in admin.password of the server's configuration."});
        field.select();
    }
}

function chooseLogin() {
    setText(byId("login-label"), byToken() ? "Token" : "Password");
    setText(byId("login-hint"), byToken() ? "as POST /admin/auth answers it, good for a day" : "admin.password of the server's configuration");
    byId("login-secret").autocomplete = byToken() ? "off" : "current-password";
}

function logout() {
    session.token = null;
    refused(new Problem("refused", "Logged out."));
}

// ---- start ----

watch.addEventListener("status", (e) => e.detail.kind === "refused" ? refused(e.detail.problem) : showStatus(e.detail));
watch.addEventListener("state", (e) => showState(e.detail));
byId("theme").addEventListener("click", toggleTheme);
systemDark.addEventListener("change", nameTheme);
byId("login-form").addEventListener("submit", (e) => { e.preventDefault(); submitLogin(); });
byId("login-form").addEventListener("change", chooseLogin);
byId("logout").addEventListener("click", logout);
byId("again").addEventListener("click", () => byId("board").hidden ? begin() : watch.now());
byId("closed-again").addEventListener("click", begin);
startShortcuts(toggleTheme);
nameTheme();
begin();
