// SPDX-License-Identifier: Apache-2.0
// console.cjs - weftcast's web console as a visitor meets it: headless Chromium, one case a promise of the console.
//
//   node console.cjs CHROMIUM SHOTS DEMO LOCKED CLOSED [CASE ...]     the last three HOST:PORT; prints TAP
//
// DEMO runs deploy/demo.json, LOCKED has the password "open sesame & more" and the prefix /ui, CLOSED has no password
// and is not open. Waits for states with a limit, never for a time. Any error in the browser's console fails a case,
// but for those that it names itself (an answer of 400 to a wrong password is printed there too).
'use strict';
const assert = require('assert');
const fs = require('fs');
const http = require('http');
const net = require('net');
const path = require('path');
const WebSocket = require('ws');
const { chromium } = require('playwright-core');
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const [, , executablePath, shots, demo, locked, closed, ...wanted] = process.argv;
const PASSWORD = 'open sesame & more';
const LIMIT_MS = 60000;    // a browser among other tests on two cores
const STEP = { timeout: LIMIT_MS };

let browser;
let errors = [];
const undo = [];

async function open(url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'light', ...options });
  undo.push(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') errors.push(m.text()); });
  page.on('pageerror', (e) => errors.push(String(e)));
  await page.goto(url);
  return page;
}
async function board(host = demo, options = {}) {
  const page = await open(`http://${host}/`, options);
  await shows(page, '#status-text', 'Live');
  return page;
}
// The element's text becomes (or contains, or matches) what is wanted.
async function shows(page, selector, want) {
  const source = want instanceof RegExp ? want.source : want.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  try {
    await page.waitForFunction(([s, re]) => [...document.querySelectorAll(s)].some((e) => new RegExp(re).test(e.textContent)),
      [selector, source], STEP);
  } catch (e) {
    const text = await page.locator(selector).allTextContents();
    throw new Error(`${selector} never showed ${want}; it shows ${JSON.stringify(text)}`);
  }
}
function request(host, target, { method = 'GET', headers = {}, body } = {}) {
  const [hostname, port] = host.split(':');
  return new Promise((ok, bad) => {
    http.request({ hostname, port, path: target, method, agent: false, headers }, (r) => {
      let text = '';
      r.setEncoding('utf8').on('data', (d) => { text += d; }).on('end', () => ok({ status: r.statusCode, headers: r.headers, text }));
    }).on('error', bad).end(body);
  });
}
async function api(method, params, host = demo) {
  const answer = await request(host, `/api/${method}`, { method: 'POST', body: JSON.stringify(params) });
  assert.strictEqual(answer.status, 200);
  return JSON.parse(answer.text).result;
}
// Some air between the steps of a load; nothing waits for it.
const pause = (ms) => new Promise((ok) => setTimeout(ok, ms));
// A client without a browser, subscribed to these channels.
function subscriber(channels, host = demo) {
  return new Promise((ok, bad) => {
    const ws = new WebSocket(`ws://${host}/connection/websocket`);
    undo.push(() => ws.terminate());
    let left = channels.length + 1;
    ws.on('error', bad);
    ws.on('open', () => ws.send(['{"id":1,"connect":{}}', ...channels.map((channel, i) => JSON.stringify({ id: i + 2, subscribe: { channel } }))].join('\n')));
    ws.on('message', (data) => {
      for (const line of String(data).split('\n')) {
        if (line === '{}') ws.send('{}');
        else if (JSON.parse(line).id && --left === 0) ok(ws);
      }
    });
  });
}
async function subscribe(page, channel) {
  await page.fill('#listen-channel', channel);
  await page.click('#listen-form button[type=submit]');
  await page.waitForFunction((c) => [...document.querySelectorAll('.chip[data-kind=subscribed] .name')].some((e) => e.textContent === c), channel, STEP);
}
async function publish(page, channel, data) {
  await page.fill('#publish-channel', channel);
  await page.fill('#publish-data', data);
  await page.click('#publish-send');
  await shows(page, '#publish-done', `Published in ${channel}`);
}
// A way to a server that can be cut.
function proxyTo(host) {
  const [hostname, port] = host.split(':');
  const sockets = new Set();
  let up = true;
  const server = net.createServer((near) => {
    if (!up) { near.destroy(); return; }
    const far = net.connect(Number(port), hostname);
    for (const [a, b] of [[near, far], [far, near]]) {
      sockets.add(a);
      a.pipe(b);
      a.on('error', () => b.destroy()).on('close', () => { sockets.delete(a); b.destroy(); });
    }
  });
  undo.push(() => { for (const s of sockets) s.destroy(); server.close(); });
  return new Promise((ok) => server.listen(0, '127.0.0.1', () => ok({
    host: `127.0.0.1:${server.address().port}`,
    cut() { up = false; for (const s of sockets) s.destroy(); },
    mend() { up = true; },
  })));
}
async function accessible(page, what) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  assert.deepStrictEqual(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target}: ${n.failureSummary}`).join(' | ')}`), [], what);
}
// Where the focus is: its id or text, and whether it can be seen.
const focused = (page) => page.evaluate(() => {
  const e = document.activeElement;
  const style = getComputedStyle(e);
  return { id: e.id, name: e.id || e.getAttribute('aria-label') || (e.closest('label') ?? e).textContent.trim(),
    body: e === document.body, ringed: e.matches(':focus-visible') && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };
});
const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);

const cases = {
  async loads_without_errors() {
    const page = await board();
    await shows(page, '#n-clients', '0');
    await shows(page, '#channels-empty', 'No channel has a subscriber.');
    await shows(page, '#messages-empty', 'Subscribe to a channel');
    await shows(page, '#version', /^weftcast \d/);
    const hosts = await page.evaluate(() => performance.getEntriesByType('resource').map((r) => new URL(r.name).host));
    assert.deepStrictEqual([...new Set(hosts)], [demo], 'nothing comes from another host');
  },
  async files_have_policy_and_tag() {
    const first = await request(demo, '/');
    assert.strictEqual(first.headers['content-type'], 'text/html; charset=utf-8');
    const policy = first.headers['content-security-policy'];
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
    assert.match(policy, /require-trusted-types-for 'script'/);
    assert.doesNotMatch(policy, /unsafe|\*|ws:/);
    assert.match(first.headers.etag, /^"[0-9a-f]{20}"$/);
    const again = await request(demo, '/', { headers: { 'If-None-Match': `"other", ${first.headers.etag}` } });
    assert.deepStrictEqual([again.status, again.text, again.headers.etag], [304, '', first.headers.etag]);
    assert.strictEqual((await request(demo, '/', { headers: { 'If-None-Match': '"other"' } })).status, 200);
    const head = await request(demo, '/console.css', { method: 'HEAD' });
    assert.deepStrictEqual([head.status, head.text, head.headers['content-type']], [200, '', 'text/css; charset=utf-8']);
    assert.ok(Number(head.headers['content-length']) > 1000);
    assert.strictEqual((await request(demo, '/', { method: 'POST', body: '' })).status, 405);
    assert.strictEqual((await request(demo, '/none.js')).status, 404);
  },
  async a_published_message_arrives_in_the_pane() {
    const page = await board();
    await subscribe(page, 'news');
    await shows(page, '#n-clients', /^1$/);
    await shows(page, '#channels td.name', 'news');
    await publish(page, 'news', '{"n": 12345678901234567890, "x":1.0, "n": 2}');
    await shows(page, '.message .data', '{"n": 12345678901234567890, "x":1.0, "n": 2}');
    await page.check('#publish-form input[value=text]');
    await publish(page, 'news', 'say "hi"');
    await shows(page, '.message .data', '"say \\"hi\\""');
    await shows(page, '#message-count', '2');
    await page.click('#listen-clear');
    await shows(page, '#messages-empty', 'Nothing has been published yet');
    await page.click('.chip button');
    await shows(page, '#client-status-text', 'Not connected');
    await shows(page, '#n-clients', /^0$/);
  },
  async data_is_never_markup() {
    const page = await board();
    const evil = '<img src=x onerror="document.title=1">&amp;<b>';
    await subscribe(page, evil);
    await publish(page, evil, JSON.stringify({ evil }));
    await shows(page, '.message .data', JSON.stringify({ evil }));
    await shows(page, '#channels td.name', evil);
    assert.strictEqual(await page.locator('#board img, #board b').count(), 0);
    assert.strictEqual(await page.title(), 'weftcast console');
  },
  async mistakes_are_explained() {
    const page = await board();
    await page.fill('#publish-channel', '');
    await page.click('#publish-send');
    await shows(page, '#publish-problem', 'No channel is given.');
    await page.fill('#publish-channel', 'a');
    await page.fill('#publish-data', '{"a":');
    await page.click('#publish-send');
    await shows(page, '#publish-problem', 'The data is not JSON.');
    assert.strictEqual((await focused(page)).id, 'publish-data');
    await page.fill('#publish-channel', 'nowhere:1');
    await page.fill('#publish-data', '1');
    await page.click('#publish-send');
    await shows(page, '#publish-problem', /unknown channel \(code 102\).*channel\.namespaces/);
    await page.fill('#listen-channel', 'nowhere:1');
    await page.press('#listen-channel', 'Enter');
    await shows(page, '#listen-problem', /nowhere:1: unknown channel \(code 102\)/);
    await page.fill('#listen-channel', 'x');
    await page.click('#listen-more summary');
    await page.fill('#listen-token', 'no.token.at-all');
    await page.press('#listen-token', 'Enter');
    await shows(page, '#listen-problem', /invalid token.*client\.token/);
    await shows(page, '#client-status-text', 'Refused');
    await page.fill('#channels-filter', '[');
    await shows(page, '#channels-problem', 'not a valid pattern');
    await page.fill('#channels-filter', '');
    await page.waitForSelector('#channels-problem', { state: 'hidden', timeout: LIMIT_MS });
    errors = errors.filter((e) => !/status of 400/.test(e));    // the filter's
  },
  async channels_filter_and_sort() {
    await subscriber(['b-few', 'c-many']);
    await subscriber(['c-many', 'd-one']);
    const page = await board();
    const names = () => page.locator('#channels tr:not(.gone) td.name').allTextContents();
    const become = async (want) => {
      await page.waitForFunction((w) => JSON.stringify([...document.querySelectorAll('#channels tr:not(.gone) td.name')].map((e) => e.textContent)) === w,
        JSON.stringify(want), STEP).catch(async () => assert.deepStrictEqual(await names(), want));
    };
    await become(['c-many', 'b-few', 'd-one']);
    await page.click('th[data-sort=channel] button');
    await become(['b-few', 'c-many', 'd-one']);
    await page.click('th[data-sort=channel] button');
    await become(['d-one', 'c-many', 'b-few']);
    assert.strictEqual(await page.getAttribute('th[data-sort=channel]', 'aria-sort'), 'descending');
    await page.fill('#channels-filter', 'few');
    await become(['b-few']);
    await page.fill('#channels-filter', '[cd]-*');
    await become(['d-one', 'c-many']);
    await page.fill('#channels-filter', 'zzz');
    await shows(page, '#channels-empty', 'fits the filter');
    await page.fill('#channels-filter', '');
    await become(['d-one', 'c-many', 'b-few']);
    await page.click('button[aria-label="Publish in c-many"]');
    assert.strictEqual(await page.inputValue('#publish-channel'), 'c-many');
    await page.click('button[aria-label="Open c-many"]');
    await shows(page, '.chip[data-kind=subscribed] .name', 'c-many');
  },
  async rates_move_the_charts() {
    const page = await board();
    await subscribe(page, 'rates');
    let busy = true;
    const load = (async () => { for (let n = 0; busy; n++) { await api('publish', { channel: 'rates', data: { n } }); await pause(10); } })();
    await shows(page, '#r-delivered', /[1-9]/);
    await shows(page, '#r-published', /[1-9]/);
    await page.waitForFunction(() => (document.querySelector('#c-delivered .chart-line').getAttribute('d').match(/L/g) ?? []).length >= 2, null, STEP)
      .catch(async () => { throw new Error(`the line is ${await page.getAttribute('#c-delivered .chart-line', 'd')}; ${await page.textContent('#status-text')}, ${await page.textContent('#problem')}`); });
    busy = false;
    await load;
    await page.waitForFunction(() => /now [\d.]+/.test(document.querySelector('#c-delivered svg').getAttribute('aria-label')), null, STEP);
    assert.ok(await page.locator('#messages > li').count() <= 500);
  },
  async dark_and_light() {
    const page = await board();
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const light = await ground();
    await page.click('#theme');
    const dark = await ground();
    assert.notStrictEqual(light, dark);
    await page.reload();
    await shows(page, '#status-text', 'Live');
    assert.strictEqual(await ground(), dark, 'a choice is kept');
    await page.click('#theme');
    assert.strictEqual(await ground(), light);
    assert.strictEqual(await page.evaluate(() => localStorage.getItem('weftcast.theme')), null, 'the system\'s own is no choice');
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.strictEqual(await ground(), dark, 'the system is followed');
  },
  async by_keyboard_alone() {
    const page = await board();
    const keys = page.keyboard;
    const at = async (id) => { const f = await focused(page); assert.deepStrictEqual([f.id, f.ringed], [id, true]); };
    await keys.press('Tab');
    await keys.press('Enter');    // skip link
    assert.strictEqual((await focused(page)).id, 'main');
    await keys.press('?');
    assert.ok(await page.isVisible('#keys'));
    await keys.press('Escape');
    assert.ok(!await page.isVisible('#keys'));
    await keys.press('s');
    await at('listen-channel');
    await keys.type('by-keys');
    await keys.press('Enter');
    await shows(page, '.chip[data-kind=subscribed] .name', 'by-keys');
    await keys.press('Escape');
    await keys.press('p');
    await at('publish-channel');
    assert.strictEqual(await page.inputValue('#publish-channel'), 'by-keys', 'offered for publishing');
    await keys.press('Tab');
    await at('publish-data');
    await keys.press('Control+a');
    await keys.type('{"by":"keys"}');
    await keys.press('Control+Enter');
    await shows(page, '.message .data', '{"by":"keys"}');
    await shows(page, '#publish-done', 'Published in by-keys');
    await keys.press('Escape');
    await keys.press('/');
    await at('channels-filter');
    await keys.type('by');
    await shows(page, '#channels td.name', 'by-keys');
    await keys.press('Escape');
    await keys.press('m');
    await at('messages-box');
    await keys.press('t');
    assert.strictEqual(await page.getAttribute('html', 'data-theme'), 'dark');
    await keys.press('t');
  },
  async every_stop_has_a_name_and_a_ring() {
    const page = await board();
    await subscribe(page, 'stops');
    await shows(page, '#channels td.name', 'stops');
    await page.evaluate(() => { document.activeElement.blur(); window.getSelection().removeAllRanges(); scrollTo(0, 0); });
    await page.click('h1');
    const seen = [];
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      const f = await focused(page);
      if (f.body) break;
      assert.ok(f.name && f.ringed, `stop ${i}: ${JSON.stringify(f)}`);
      seen.push(f.name);
    }
    for (const id of ['help', 'theme', 'listen-channel', 'messages-box', 'publish-channel', 'publish-data', 'publish-send', 'channels-filter',
      'Unsubscribe from stops', 'Open stops', 'Publish in stops']) assert.ok(seen.includes(id), `${id} is not among ${seen}`);
    assert.ok(seen.length < 40);
  },
  async single_keys_can_be_off() {
    const page = await board();
    await page.click('#help');
    await page.click('#keys-on');
    await page.keyboard.press('Escape');
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('s');
    assert.notStrictEqual((await focused(page)).id, 'listen-channel');
  },
  async assistive_rules_hold() {
    await subscriber(['axe-a', 'axe-b']);
    const page = await board();
    await subscribe(page, 'axe-a');
    await publish(page, 'axe-a', '{"a":1}');
    await shows(page, '.message .data', '{"a":1}');
    await page.fill('#publish-data', '{');
    await page.click('#publish-send');
    await accessible(page, 'light');
    await page.click('#theme');
    await accessible(page, 'dark');
    await page.click('#help');
    await accessible(page, 'shortcuts');
    await accessible(await open(`http://${locked}/ui/`), 'login');
    await accessible(await open(`http://${closed}/`), 'closed');
  },
  async narrow_screens_do_not_scroll_sideways() {
    const page = await board(demo, { viewport: { width: 360, height: 740 } });
    const long = `${'long-name-'.repeat(18)}end`;
    await subscribe(page, long);
    await publish(page, long, JSON.stringify('w'.repeat(400)));
    await shows(page, '.message .data', 'www');
    for (const width of [360, 480, 700, 901, 1920]) {
      await page.setViewportSize({ width, height: 740 });
      assert.ok(await fits(page), `${width} pixels`);
    }
    const login = await open(`http://${locked}/ui/`, { viewport: { width: 360, height: 740 } });
    await shows(login, '#login-title', 'Log in');
    assert.ok(await fits(login));
  },
  async nothing_is_lost_on_reconnect() {
    const way = await proxyTo(demo);
    const page = await board(way.host);
    await subscribe(page, 'kept');
    await subscribe(page, 'plain:kept');
    await api('publish', { channel: 'kept', data: 'before' });
    await shows(page, '.message .data', '"before"');
    way.cut();
    await shows(page, '#client-status-text', /Reconnecting in \d+ s/);
    await shows(page, '#status-text', /Reconnecting in \d+ s/);
    await shows(page, '#problem', 'The server does not answer');
    for (let n = 0; n < 5; n++) await api('publish', { channel: 'kept', data: { missed: n } });
    way.mend();
    await page.click('#listen-retry').catch(() => {});    // it may have come back by itself
    await shows(page, '#client-status-text', 'Connected');
    await shows(page, '.message .data', '{"missed":4}');
    await shows(page, '.message.gap', 'keeps no history');
    await shows(page, '#status-text', 'Live');
    await api('publish', { channel: 'kept', data: 'after' });
    await shows(page, '.message .data', '"after"');
    const heard = (await page.locator('.message .data').allTextContents()).reverse();
    assert.deepStrictEqual(heard, ['"before"', ...[0, 1, 2, 3, 4].map((n) => `{"missed":${n}}`), '"after"']);
    assert.strictEqual(await page.locator('.message.gap').count(), 1);
    errors = errors.filter((e) => !/net::ERR_|WebSocket connection to/.test(e));    // the cut's
  },
  async a_hidden_tab_asks_for_nothing() {
    const page = await board();
    const asked = [];
    page.on('request', (r) => asked.push(r.url()));
    await page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await shows(page, '#status-text', 'Paused');
    const before = asked.length;
    await page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => false });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await shows(page, '#status-text', 'Live');
    assert.ok(asked.length > before);
  },
  async login_by_password_and_token() {
    const bare = await request(locked, '/ui');
    assert.deepStrictEqual([bare.status, bare.headers.location], [302, '/ui/']);
    const page = await open(`http://${locked}/ui`);
    await shows(page, '#login-title', 'Log in');
    await page.waitForSelector('#login-secret:focus', STEP);
    await page.keyboard.type('wrong');
    await page.keyboard.press('Enter');
    await shows(page, '#login-problem', 'This is not the password.');
    await page.fill('#login-secret', PASSWORD);
    await page.keyboard.press('Enter');
    await shows(page, '#status-text', 'Live');
    await page.waitForSelector('#login', { state: 'hidden', timeout: LIMIT_MS });
    await subscribe(page, 'inside');
    await publish(page, 'inside', '"in"');
    await shows(page, '.message .data', '"in"');
    await page.reload();
    await shows(page, '#status-text', 'Live');
    const token = await page.evaluate(() => sessionStorage.getItem('weftcast.token'));
    await page.click('#logout');
    await page.waitForSelector('#login-secret:focus', STEP);
    assert.strictEqual(await page.evaluate(() => sessionStorage.getItem('weftcast.token')), null);
    await page.check('#login input[value=token]');
    await page.fill('#login-secret', `${token}0`);
    await page.keyboard.press('Enter');
    await shows(page, '#login-problem', 'does not take this token');
    await page.fill('#login-secret', token);
    await page.keyboard.press('Enter');
    await shows(page, '#status-text', 'Live');
    errors = errors.filter((e) => !/status of 40[01]/.test(e));    // the wrong password's
  },
  async too_many_wrong_passwords() {
    const page = await open(`http://${locked}/ui/`);
    await page.route('**/admin/auth', (r) => r.fulfill({ status: 429, headers: { 'Retry-After': '7' }, body: 'Too Many Requests\n' }));
    await page.fill('#login-secret', PASSWORD);
    await page.keyboard.press('Enter');
    await shows(page, '#login-problem', 'Try again in 7 s.');
    await page.unroute('**/admin/auth');
    await page.keyboard.press('Enter');
    await shows(page, '#status-text', 'Live');
    errors = errors.filter((e) => !/status of 429/.test(e));
  },
  async an_ended_session_asks_again() {
    const page = await open(`http://${locked}/ui/`);
    await page.fill('#login-secret', PASSWORD);
    await page.keyboard.press('Enter');
    await shows(page, '#status-text', 'Live');
    await page.evaluate(() => sessionStorage.setItem('weftcast.token', '1.00'));
    await shows(page, '#login-why', 'The session has ended');
    assert.ok(!await page.isVisible('#board'));
    errors = errors.filter((e) => !/status of 401/.test(e));
  },
  async without_a_password_nobody_is_let_in() {
    const page = await open(`http://${closed}/`);
    await shows(page, '#closed', 'No password is set');
    await page.waitForSelector('#closed', { state: 'visible' });
    await page.waitForSelector('#login', { state: 'hidden' });
    await page.waitForSelector('#board', { state: 'hidden' });
    assert.strictEqual((await request(closed, '/admin/state')).status, 401);
    const auth = { method: 'POST', headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body: 'password=' };
    assert.strictEqual((await request(closed, '/admin/auth', auth)).status, 400);
  },
  async the_open_demo_is_open_to_itself_only() {
    const get = async (headers) => (await request(demo, '/admin/state', { headers })).status;
    assert.strictEqual(await get({}), 200);
    assert.strictEqual(await get({ Host: 'example.com' }), 401, 'a foreign name that leads here');
    assert.strictEqual(await get({ Origin: 'http://example.com' }), 401, 'a foreign page');
    const init = JSON.parse((await request(demo, '/admin/init', { headers: { Host: 'example.com' } })).text);
    assert.deepStrictEqual([init.authenticated, init.insecure, init.login], [false, false, false]);
  },
  async screenshots() {
    const shoot = async (page, name) => {
      await page.evaluate(() => new Promise((ok) => requestAnimationFrame(() => requestAnimationFrame(ok))));    // painted as it now is
      await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true });
    };
    const many = [];
    for (let i = 0; i < 12; i++) many.push(subscriber(['news', 'plain:all', 'scores', 'room-17', 'plain:prices.eur'].slice(0, 1 + i % 5)));
    await Promise.all(many);
    const page = await board();
    await subscribe(page, 'news');
    await subscribe(page, 'plain:all');
    const seconds = Number(process.env.WEFT_SHOT_SECONDS ?? 4);
    let drawn = 0;
    for (let n = 0; drawn < seconds; n++) {
      await api('publish', { channel: n % 3 ? 'news' : 'plain:all', data: { id: n, title: 'Weather', text: `Rain by ${n % 24} o'clock` } });
      if (n % 25 === 24)
        drawn = await page.evaluate(() => (document.querySelector('#c-delivered .chart-line').getAttribute('d').match(/[ML]/g) ?? []).length);
    }
    await publish(page, 'news', '{"text": "hello"}');
    await shows(page, '.message .data', '{"text": "hello"}');
    await page.evaluate(() => document.activeElement.blur());
    await shoot(page, 'console-light');
    await page.click('#theme');
    await shoot(page, 'console-dark');
    await page.click('#help');
    await page.screenshot({ path: path.join(shots, 'shortcuts-dark.png') });
    await page.keyboard.press('Escape');
    await page.setViewportSize({ width: 360, height: 740 });
    await shoot(page, 'console-narrow-dark');
    await page.click('#theme');
    await shoot(page, 'console-narrow-light');
    await shoot(await open(`http://${locked}/ui/`), 'login-light');
    const lost = await proxyTo(demo);
    const cut = await board(lost.host, { colorScheme: 'dark' });
    await subscribe(cut, 'news');
    lost.cut();
    await shows(cut, '#problem', 'does not answer');
    await shows(cut, '#client-status-text', /Reconnecting in \d+ s/);
    await shoot(cut, 'reconnecting-dark');
    for (const name of ['console-light', 'console-dark', 'login-light']) assert.ok(fs.statSync(path.join(shots, `${name}.png`)).size > 5000);
    errors = errors.filter((e) => !/net::ERR_|WebSocket connection to/.test(e));
  },
};

(async () => {
  const names = wanted.length ? wanted : Object.keys(cases);
  console.log(`TAP version 13\n1..${names.length}`);
  browser = await chromium.launch({ executablePath, args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  let failed = 0;
  for (const [i, name] of names.entries()) {
    errors = [];
    try {
      await cases[name]();
      assert.deepStrictEqual(errors, [], 'errors in the browser\'s console');
      console.log(`ok ${i + 1} - ${name}`);
    } catch (e) {
      failed++;
      console.log(`${String(e.stack).split('\n').slice(0, 12).map((l) => `# ${l}`).join('\n')}\n# browser: ${JSON.stringify(errors)}\nnot ok ${i + 1} - ${name}`);
    }
    for (const step of undo.splice(0).reverse()) await step();
  }
  await browser.close();
  process.exit(failed ? 1 : 0);
})().catch((e) => { console.log(`Bail out! ${e.stack}`); process.exit(1); });
