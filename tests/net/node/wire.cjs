// SPDX-License-Identifier: Apache-2.0
// wire.cjs - plays a script of exchanges (../wire.txt says its form) against a server, over the npm package `ws`.
//
//   node wire.cjs SCRIPT HOST:PORT API_KEY HMAC_SECRET [CASE ...]      prints TAP; one connection set a case
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const WebSocket = require('ws');

const [, , file, host, apiKey, secret, ...wanted] = process.argv;
const WAIT_MS = 5000;

function jwt(claims, { alg = 'HS256', key = secret } = {}) {
  const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  const head = part({ alg, typ: 'JWT' }) + '.' + part(claims);
  const hash = { HS256: 'sha256', HS512: 'sha512' }[alg];
  return head + '.' + (hash ? crypto.createHmac(hash, key).update(head).digest('base64url') : '');
}
const now = Math.floor(Date.now() / 1000);
const tokens = {
  u42: jwt({ sub: '42' }), u77: jwt({ sub: '77' }), u78: jwt({ sub: '78' }), u79: jwt({ sub: '79' }),
  u42info: jwt({ sub: '42', info: { n: 1 } }),
  A: jwt({ sub: 'A', info: { n: 1 } }), B: jwt({ sub: 'B', info: { n: 1 } }),
  ttl: jwt({ sub: '42', exp: now + 100000 }), fresh: jwt({ sub: '42', exp: now + 5000 }),
  other: jwt({ sub: '43', exp: now + 5000 }), expired: jwt({ sub: '42', exp: now - 100 }),
  nbf: jwt({ sub: '42', nbf: now + 1000 }), none: jwt({ sub: '42' }, { alg: 'none' }),
  badsig: jwt({ sub: '42' }, { key: 'not the secret' }), srv: jwt({ sub: '42', channels: ['srv', 'hist:srv'] }),
  subtok: jwt({ sub: '42', channel: 'deny:1' }), subtokwrong: jwt({ sub: '42', channel: 'deny:2' }),
  subtokexp: jwt({ sub: '42', channel: 'deny:1', exp: now - 100 }),
  sublong: jwt({ sub: '42', channel: 'deny:1', exp: now + 9000 }),
};

// ---- the script ----

function parse(text) {
  const cases = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.startsWith('#') || line === '') continue;
    if (line.startsWith('== ')) cases.push({ title: line.slice(3), steps: [] });
    else cases.at(-1).steps.push({ line, number: i + 1 });
  }
  return cases;
}

// Fills <$x>, tokens and the long texts of a line that is sent.
function fill(text, vars) {
  text = text.replace(/<\$(\w+)>/g, (as, x) => vars[x] ?? as).replace(/<JWT (\w+)>/g, (_, x) => tokens[x])
    .replace(/<x(\d+)>/g, (_, n) => 'x'.repeat(+n)).replaceAll('␤', '\n');
  if (text === '<128 subscribes>')
    text = Array.from({ length: 128 }, (_, i) => `{"id":${i + 2},"subscribe":{"channel":"c${i}"}}`).join('\n');
  return text.replace(/<y to (\d+)>/, (m, n) => 'y'.repeat(+n - (Buffer.byteLength(text) - m.length)));
}

const kinds = { uuid: '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}', ver: '[^"]+', num: '\\d+', epoch: '[A-Za-z0-9]{4,}' };

function match(want, got, vars) {
  const names = [];
  const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const source = literal(fill(want, {})).replace(/<(?:(uuid|ver|num|epoch)(?::(\w+))?|\\\$(\w+))>/g, (_, kind, name, used) => {
    if (used) return names.includes(used) ? `\\k<${used}>` : literal(vars[used] ?? '<unset>');
    if (!name) return kinds[kind];
    names.push(name);
    return `(?<${name}>${kinds[kind]})`;
  });
  const m = new RegExp(`^${source}$`, 's').exec(got);
  if (!m) return false;
  for (const name of names) vars[name] = m.groups[name];
  return true;
}

// The same text with the keys of all objects in order.
function ordered(text) {
  const sort = (v) => v === null || typeof v !== 'object' ? v : Array.isArray(v) ? v.map(sort)
    : Object.fromEntries(Object.keys(v).sort().map((k) => [k, sort(v[k])]));
  return JSON.stringify(sort(JSON.parse(text)));
}
function matchUnordered(want, got, vars) {
  const quoted = fill(want, vars).replace(/:<num>/g, ':"<num>"');
  return match(ordered(quoted).replace(/"<num>"/g, '<num>'), ordered(got), vars);
}

// ---- connections ----

class Connection {
  constructor() {
    this.lines = [];
    this.closed = null;
    this.wake = () => {};
    this.socket = new WebSocket(`ws://${host}/connection/websocket`, { perMessageDeflate: false });
    this.opened = new Promise((ok, bad) => { this.socket.on('open', ok); this.socket.on('error', bad); });
    this.socket.on('message', (data) => {
      this.lines.push(...data.toString().split('\n').filter((l) => l !== ''));
      this.wake();
    });
    this.socket.on('close', (code, reason) => { this.closed = `${code} ${reason}`.trim(); this.wake(); });
  }
  // Waits until ready() gives something; null when the time is up.
  async until(ready) {
    const end = Date.now() + WAIT_MS;
    for (let v; ;) {
      if ((v = ready()) !== undefined) return v;
      if (Date.now() >= end) return null;
      await new Promise((ok) => { this.wake = ok; setTimeout(ok, end - Date.now() + 1).unref?.(); });
    }
  }
  nextLine() {
    return this.until(() => this.lines.length ? this.lines.shift() : this.closed !== null ? null : undefined);
  }
  nextClose() {
    return this.until(() => this.closed ?? undefined);
  }
}

function post(method, body) {
  return new Promise((ok, bad) => {
    const [hostname, port] = host.split(':');
    const request = http.request({ hostname, port, path: `/api/${method}`, method: 'POST', agent: false,
      headers: { 'X-API-Key': apiKey, 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) } },
    (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (d) => { text += d; }).on('end', () => ok({ status: response.statusCode, text }));
    });
    request.on('error', bad).end(body);
  });
}

class Failure extends Error {}

async function play(steps) {
  const connections = {};
  const vars = {};
  let answer;
  const open = async (name) => {
    if (!connections[name]) await (connections[name] = new Connection()).opened;
    return connections[name];
  };
  const expect = (ok, want, got, number) => {
    if (!ok) throw new Failure(`wire.txt:${number}:\n  want ${want}\n  got  ${got}`);
  };
  const step = async ({ line, number }) => {
    let m;
    if ((m = /^api (\w+) ?(.*)$/.exec(line))) {
      answer = await post(m[1], fill(m[2], vars));
    } else if ((m = /^=(~?) (\d+) (.*)$/.exec(line))) {
      const same = (m[1] ? matchUnordered : match)(m[3], answer.text, vars);
      expect(answer.status === +m[2] && same, line.slice(2), `${answer.status} ${answer.text}`, number);
    } else if ((m = /^(?:([A-Z]) )?connect ?(.*)$/.exec(line))) {
      const c = await open(m[1] || '1');
      c.socket.send(`{"id":1,"connect":{${m[2] ? `"token":"${fill(m[2], vars)}"` : ''}}}`);
      const got = await c.nextLine();
      expect(match('{"id":1,"connect":{"client":"<uuid>","version":"<ver>","ping":25,"pong":true}}', got, vars), line, got, number);
    } else if ((m = /^([A-Z]?)> ?(.*)$/.exec(line))) {
      (await open(m[1] || '1')).socket.send(fill(m[2], vars));
    } else if ((m = /^([A-Z]?)<close (\d+) ?(.*)$/.exec(line))) {
      const c = await open(m[1] || '1');
      const got = await c.nextClose();
      expect(got === `${m[2]} ${m[3]}`.trim() && !c.lines.length, line, `${got}; lines ${JSON.stringify(c.lines)}`, number);
    } else if (line === '< <128 replies>') {
      for (let i = 0; i < 128; i++) {
        const got = await (await open('1')).nextLine();
        expect(got === `{"id":${i + 2},"subscribe":{}}`, `reply ${i + 2}`, got, number);
      }
    } else if ((m = /^([A-Z]?)<(~?) (.*)$/.exec(line))) {
      const c = await open(m[1] || '1');
      const got = await c.nextLine();
      const same = got !== null && (m[2] ? matchUnordered : match)(m[3], got, vars);
      expect(same, fill(m[3], vars), got ?? `nothing (${c.closed === null ? 'open' : 'closed ' + c.closed})`, number);
    } else {
      throw new Failure(`wire.txt:${number}: not understood: ${line}`);
    }
  };
  try {
    for (const s of steps) await step(s);
    for (const [name, c] of Object.entries(connections))
      if (c.lines.length) throw new Failure(`connection ${name} has lines left: ${JSON.stringify(c.lines)}`);
  } finally {
    for (const c of Object.values(connections)) c.socket.terminate();
  }
}

async function main() {
  const cases = parse(fs.readFileSync(file, 'utf8')).filter((c) => !wanted.length || wanted.some((w) => c.title.includes(w)));
  let failed = 0;
  console.log(`TAP version 13\n1..${cases.length}`);
  for (const [i, c] of cases.entries()) {
    const name = c.title.replace(/[^A-Za-z0-9]+/g, '_');
    try {
      await play(c.steps);
      console.log(`ok ${i + 1} - ${name}`);
    } catch (e) {
      failed++;
      console.log(`not ok ${i + 1} - ${name}\n${String(e instanceof Failure ? e.message : e.stack).replace(/^/gm, '# ')}`);
    }
  }
  process.exit(failed ? 1 : 0);
}
main();
