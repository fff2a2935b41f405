// SPDX-License-Identifier: Apache-2.0
// clients.cjs - the unchanged npm package `centrifuge` as weftcast's client, one case a feature that applications use.
//
//   node clients.cjs HOST:PORT API_KEY HMAC_SECRET [CASE ...]      prints TAP
//
// Waits for events with a limit, never for a time.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const http = require('http');
const WebSocket = require('ws');
const { Centrifuge } = require('centrifuge');

const [, , host, apiKey, secret, ...wanted] = process.argv;
const url = `ws://${host}/connection/websocket`;
const LIMIT_MS = 60000;    // a busy machine has its time

function jwt(claims) {
  const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  const head = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${head}.${crypto.createHmac('sha256', secret).update(head).digest('base64url')}`;
}
const inSeconds = (s) => Math.floor(Date.now() / 1000) + s;

function api(method, body) {
  const text = JSON.stringify(body);
  const [hostname, port] = host.split(':');
  return new Promise((ok, bad) => {
    http.request({ hostname, port, path: `/api/${method}`, method: 'POST', agent: false,
      headers: { 'X-API-Key': apiKey, 'Content-Length': Buffer.byteLength(text) } }, (r) => {
      let answer = '';
      r.setEncoding('utf8').on('data', (d) => { answer += d; }).on('end', () => {
        const v = JSON.parse(answer);
        if (v.error) bad(new Error(answer)); else ok(v.result ?? v);
      });
    }).on('error', bad).end(text);
  });
}

let open = [];
function client(options = {}) {
  const c = new Centrifuge(url, { websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 100, timeout: LIMIT_MS, ...options });
  open.push(c);
  return c;
}
function within(promise, what) {
  let timer;
  const late = new Promise((_, bad) => { timer = setTimeout(() => bad(new Error(`no ${what} within ${LIMIT_MS} ms`)), LIMIT_MS); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
// The next event of that name (that passes the filter).
function event(emitter, name, filter = () => true) {
  return within(new Promise((ok) => {
    const listen = (e) => { if (filter(e)) { emitter.off(name, listen); ok(e); } };
    emitter.on(name, listen);
  }), `'${name}' event`);
}
async function connected(options) {
  const c = client(options);
  const up = event(c, 'connected');
  c.connect();
  return [c, await up];
}
async function subscribed(c, channel, options) {
  const sub = c.newSubscription(channel, options);
  const up = event(sub, 'subscribed');
  sub.subscribe();
  return [sub, await up];
}
// Cuts the connection under the client, as a lost network does.
function cut(c) {
  c._transport.close();
}

const cases = {
  async connect_anonymous() {
    const [, ctx] = await connected({ name: 'js', version: '1.2' });
    assert.match(ctx.client, /^[0-9a-f-]{36}$/);
    assert.strictEqual(ctx.transport, 'websocket');
  },
  async publish_and_receive_own_message() {
    const [c] = await connected();
    const [sub] = await subscribed(c, 'js-own');
    const got = event(sub, 'publication');
    await sub.publish({ text: 'hellö <&>' });
    const p = await got;
    assert.deepStrictEqual(p.data, { text: 'hellö <&>' });
    assert.strictEqual(p.info.user, '');
  },
  async publication_from_the_http_api() {
    const [c] = await connected();
    const [sub] = await subscribed(c, 'js-api');
    const got = event(sub, 'publication');
    await api('publish', { channel: 'js-api', data: { n: [1, null, 'x'] }, tags: { k: 'v' } });
    const p = await got;
    assert.deepStrictEqual(p.data, { n: [1, null, 'x'] });
    assert.deepStrictEqual(p.tags, { k: 'v' });
    assert.strictEqual(p.info, undefined);
  },
  async thousand_messages_in_order() {
    const [c] = await connected();
    const [sub] = await subscribed(c, 'js-order');
    const seen = [];
    const all = within(new Promise((ok) => sub.on('publication', (p) => { if (seen.push(p.data) === 1000) ok(); })), '1000 messages');
    const [d] = await connected();
    const sent = [];
    for (let i = 0; i < 1000; i++) sent.push(d.publish('js-order', i));
    await Promise.all(sent);
    await all;
    assert.deepStrictEqual(seen, Array.from({ length: 1000 }, (_, i) => i));
  },
  async fan_out_to_fifty() {
    const subs = [];
    for (let i = 0; i < 50; i++) {
      const [c] = await connected();
      subs.push((await subscribed(c, 'js-fan'))[0]);
    }
    const got = subs.map((s) => event(s, 'publication'));
    await api('publish', { channel: 'js-fan', data: 'to all' });
    for (const p of await Promise.all(got)) assert.strictEqual(p.data, 'to all');
  },
  async presence_join_leave() {
    const [a] = await connected({ token: jwt({ sub: 'a', info: { n: 1 } }) });
    const [subA] = await subscribed(a, 'pres:js');
    const join = event(subA, 'join', (e) => e.info.user === 'b');
    const [b, ctxB] = await connected({ token: jwt({ sub: 'b', info: { n: 2 } }) });
    const [subB] = await subscribed(b, 'pres:js');
    assert.deepStrictEqual((await join).info.connInfo, { n: 2 });
    const { clients } = await subA.presence();
    assert.deepStrictEqual(Object.values(clients).map((i) => i.user).sort(), ['a', 'b']);
    assert.strictEqual(clients[ctxB.client].user, 'b');
    assert.deepStrictEqual(await subA.presenceStats(), { numClients: 2, numUsers: 2 });
    const leave = event(subA, 'leave');
    subB.unsubscribe();
    assert.strictEqual((await leave).info.user, 'b');
  },
  async leave_when_the_connection_drops() {
    const [a] = await connected({ token: jwt({ sub: 'a' }) });
    const [subA] = await subscribed(a, 'pres:drop');
    const [b] = await connected({ token: jwt({ sub: 'b' }) });
    await subscribed(b, 'pres:drop');
    const leave = event(subA, 'leave');
    b.disconnect();
    assert.strictEqual((await leave).info.user, 'b');
  },
  async history() {
    const [c] = await connected();
    const [sub, ctx] = await subscribed(c, 'hist:js');
    assert.ok(ctx.positioned && ctx.recoverable && ctx.streamPosition.epoch);
    for (let i = 1; i <= 3; i++) await sub.publish({ i });
    const all = await sub.history({ limit: 10 });
    assert.deepStrictEqual(all.publications.map((p) => [p.offset, p.data.i]), [[1, 1], [2, 2], [3, 3]]);
    const back = await sub.history({ limit: 2, reverse: true });
    assert.deepStrictEqual(back.publications.map((p) => p.offset), [3, 2]);
    const since = await sub.history({ limit: 10, since: { offset: 1, epoch: all.epoch } });
    assert.deepStrictEqual(since.publications.map((p) => p.offset), [2, 3]);
    await assert.rejects(sub.history({ limit: 1, since: { offset: 1, epoch: 'wrong' } }), { code: 112 });
  },
  async recovery_after_a_cut() {
    const [c] = await connected({ minReconnectDelay: 300, maxReconnectDelay: 400 });
    const [sub] = await subscribed(c, 'hist:js-cut');
    const first = event(sub, 'publication');
    await api('publish', { channel: 'hist:js-cut', data: 1 });
    await first;
    const seen = [];
    sub.on('publication', (p) => seen.push(p.data));
    const lost = event(c, 'connecting');
    const again = event(sub, 'subscribed');
    cut(c);
    await lost;
    for (let i = 2; i <= 4; i++) await api('publish', { channel: 'hist:js-cut', data: i });
    const ctx = await again;
    assert.strictEqual(ctx.wasRecovering, true);
    assert.strictEqual(ctx.recovered, true);
    if (seen.length < 3) await event(sub, 'publication', () => seen.length === 3);
    assert.deepStrictEqual(seen, [2, 3, 4]);
  },
  async recovery_of_too_much_says_so() {
    const [c] = await connected({ minReconnectDelay: 400, maxReconnectDelay: 500 });
    const [sub] = await subscribed(c, 'hist:js-gap');
    await sub.publish(0);
    const lost = event(c, 'connecting');
    const again = event(sub, 'subscribed');
    cut(c);
    await lost;
    for (let i = 1; i <= 8; i++) await api('publish', { channel: 'hist:js-gap', data: i });
    const ctx = await again;
    assert.deepStrictEqual([ctx.wasRecovering, ctx.recovered], [true, false]);
  },
  async token_and_refresh() {
    let asked = 0;
    const c = client({ getToken: async () => jwt({ sub: '42', exp: inSeconds(asked++ ? 600 : 2) }) });
    const up = event(c, 'connected');
    const renewed = within(new Promise((ok) => {
      const orig = c._config.getToken;
      c._config.getToken = async (ctx) => { const t = await orig(ctx); if (asked === 2) ok(); return t; };
    }), 'second token');
    c.connect();
    await up;
    await renewed;
    await c.rpc('nothing', {}).catch((e) => assert.strictEqual(e.code, 108)); // the connection still answers
    assert.strictEqual(c.state, 'connected');
  },
  async expired_token_is_replaced() {
    let asked = 0;
    const c = client({ token: jwt({ sub: '42', exp: inSeconds(-10) }), getToken: async () => { asked++; return jwt({ sub: '42' }); } });
    const up = event(c, 'connected');
    c.connect();
    await up;
    assert.strictEqual(asked, 1);
  },
  async bad_token_is_final() {
    const c = client({ token: 'garbage' });
    const down = event(c, 'disconnected');
    c.connect();
    assert.strictEqual((await down).code, 3500);
  },
  async subscription_token() {
    const [c] = await connected({ token: jwt({ sub: '42' }) });
    const [sub] = await subscribed(c, 'deny:js', { getToken: async ({ channel }) => jwt({ sub: '42', channel }) });
    const got = event(sub, 'publication');
    await api('publish', { channel: 'deny:js', data: 'in' });
    assert.strictEqual((await got).data, 'in');
  },
  async subscription_refused() {
    const [c] = await connected();
    const sub = c.newSubscription('deny:js-2');
    const off = event(sub, 'unsubscribed');
    sub.subscribe();
    assert.strictEqual((await off).code, 103);
  },
  async publish_refused() {
    const [c] = await connected();
    await assert.rejects(c.publish('deny:js-3', {}), { code: 103 });
    await assert.rejects(c.publish('nons:js', {}), { code: 102 });
    await assert.rejects(c.rpc('method', {}), { code: 108 });
  },
  async server_side_subscriptions() {
    const c = client({ token: jwt({ sub: '51', channels: ['js-srv'] }) });
    const sub = event(c, 'subscribed');
    c.connect();
    assert.strictEqual((await sub).channel, 'js-srv');
    const got = event(c, 'publication');
    await api('publish', { channel: 'js-srv', data: { z: 1 } });
    const p = await got;
    assert.deepStrictEqual([p.channel, p.data], ['js-srv', { z: 1 }]);
    const more = event(c, 'subscribed');
    await api('subscribe', { user: '51', channel: 'js-srv-2' });
    assert.strictEqual((await more).channel, 'js-srv-2');
    const off = event(c, 'unsubscribed');
    await api('unsubscribe', { user: '51', channel: 'js-srv-2' });
    assert.strictEqual((await off).channel, 'js-srv-2');
  },
  async unsubscribed_by_the_server() {
    const [c] = await connected({ token: jwt({ sub: '52' }) });
    const [sub] = await subscribed(c, 'js-unsub');
    const off = event(sub, 'unsubscribed');
    await api('unsubscribe', { user: '52', channel: 'js-unsub' });
    assert.strictEqual((await off).code, 2000);
  },
  async disconnected_by_the_server() {
    const [c] = await connected({ token: jwt({ sub: '53' }) });
    const down = event(c, 'disconnected');
    await api('disconnect', { user: '53' });
    const e = await down;
    assert.deepStrictEqual([e.code, e.reason], [3503, 'force disconnect']);
  },
  async reconnects_when_told_so() {
    const [c] = await connected({ token: jwt({ sub: '54' }) });
    const [sub] = await subscribed(c, 'js-back');
    const again = event(sub, 'subscribed');
    await api('disconnect', { user: '54', disconnect: { code: 4001, reason: 'come back' } });
    await again;
    const got = event(sub, 'publication');
    await api('publish', { channel: 'js-back', data: 2 });
    assert.strictEqual((await got).data, 2);
  },
  async commands_batched_in_one_message() {
    const c = client();
    const subs = Array.from({ length: 20 }, (_, i) => c.newSubscription(`js-batch-${i}`));
    const up = subs.map((s) => event(s, 'subscribed'));
    c.startBatching();
    for (const s of subs) s.subscribe();
    c.connect();
    c.stopBatching();
    await Promise.all(up);
  },
  // Eight clients whose connections are cut over and over while 3000 messages go by: each gets every one, once, in order.
  async nothing_lost_or_repeated_over_many_cuts() {
    const total = 3000;
    const seen = [];
    const done = [];
    const clients = [];
    let finished = false;
    for (let i = 0; i < 8; i++) {
      const [c] = await connected({ minReconnectDelay: 1, maxReconnectDelay: 30 });
      const [sub] = await subscribed(c, 'big:cuts');
      const got = [];
      clients.push(c);
      seen.push(got);
      done.push(within(new Promise((ok, bad) => {
        sub.on('publication', (p) => {
          if (p.data !== got.length) bad(new Error(`client ${i}: ${p.data} instead of ${got.length}`));
          if (got.push(p.data) === total) ok();
        });
        sub.on('subscribed', (ctx) => { if (ctx.wasRecovering && !ctx.recovered) bad(new Error(`client ${i} did not recover`)); });
      }), 'last message'));
    }
    const cutting = (async () => {
      while (!finished) {
        const c = clients[crypto.randomInt(clients.length)];
        if (c.state === 'connected') cut(c);
        await new Promise((ok) => setImmediate(ok));
        if (crypto.randomInt(4) === 0) await api('presence_stats', { channel: 'pres:nobody' }); // let some time go by
      }
    })();
    for (let i = 0; i < total; i += 10)
      await api('batch', { commands: Array.from({ length: 10 }, (_, k) => ({ publish: { channel: 'big:cuts', data: i + k } })) });
    finished = true;
    await cutting;
    await Promise.all(done);
  },
  async large_message() {
    const [c] = await connected();
    const [sub] = await subscribed(c, 'js-large');
    const text = 'ä'.repeat(30000);
    const got = event(sub, 'publication');
    await sub.publish(text);
    assert.strictEqual((await got).data, text);
  },
};

async function main() {
  const names = Object.keys(cases).filter((n) => !wanted.length || wanted.includes(n));
  let failed = 0;
  console.log(`TAP version 13\n1..${names.length}`);
  for (const [i, name] of names.entries()) {
    try {
      await cases[name]();
      console.log(`ok ${i + 1} - ${name}`);
    } catch (e) {
      failed++;
      console.log(`not ok ${i + 1} - ${name}\n${String(e.stack ?? JSON.stringify(e)).replace(/^/gm, '# ')}`);
    }
    for (const c of open) c.disconnect();
    open = [];
  }
  process.exit(failed ? 1 : 0);
}
main();
