// SPDX-License-Identifier: Apache-2.0
// wsecho.cjs - the npm package `ws` against an echo server: node wsecho.cjs URL. Prints TAP, a line a case.
'use strict';
const WebSocket = require('ws');
const url = process.argv[2];

function open(options) {
    return new Promise((resolve, reject) => {
        const ws = new WebSocket(url, options);
        ws.on('open', () => resolve(ws));
        ws.on('error', reject);
    });
}

const next = (ws, event) => new Promise((resolve) => ws.once(event, (...args) => resolve(args)));

function assert(holds, what) {
    if (!holds) throw new Error(what);
}

async function echoed(ws, data, options) {
    const answer = next(ws, 'message');
    ws.send(data, options);
    const [got, binary] = await answer;
    assert(Buffer.compare(got, Buffer.from(data)) === 0, `${got.length} other bytes came back`);
    assert(binary === Buffer.isBuffer(data), 'text and binary mixed up');
}

const cases = {
    async text_and_binary_of_many_sizes() {
        const ws = await open();
        for (const n of [0, 1, 125, 126, 4096, 65535, 65536, 1 << 20]) {
            await echoed(ws, 'ä'.repeat(n));
            await echoed(ws, Buffer.alloc(n, 7));
        }
        ws.close();
        await next(ws, 'close');
    },
    async fragments() {
        const ws = await open();
        const answer = next(ws, 'message');
        ws.send('one ', { fin: false });
        ws.ping();
        ws.send('two ', { fin: false });
        ws.send('three', { fin: true });
        assert(String((await answer)[0]) === 'one two three', 'not put together');
        ws.terminate();
    },
    async ping_and_close() {
        const ws = await open();
        ws.ping('are you there');
        assert(String((await next(ws, 'pong'))[0]) === 'are you there', 'another pong');
        ws.close(4001, 'enough');
        const [code, reason] = await next(ws, 'close');
        assert(code === 4001, `closed with ${code} "${reason}"`);
    },
    async compression_is_declined() {
        const ws = await open({ perMessageDeflate: true });
        assert(ws.extensions === '', `extensions: ${ws.extensions}`);
        await echoed(ws, 'plain');
        ws.terminate();
    },
    async fifty_at_once() {
        const all = await Promise.all(Array.from({ length: 50 }, () => open()));
        await Promise.all(all.map((ws, i) => echoed(ws, `I am ${i}`)));
        all.forEach((ws) => ws.close());
        await Promise.all(all.map((ws) => next(ws, 'close')));
    },
};

(async () => {
    const names = Object.keys(cases);
    let failed = 0;
    console.log(`TAP version 13\n1..${names.length}`);
    for (const [i, name] of names.entries()) {
        try {
            await cases[name]();
            console.log(`ok ${i + 1} - ${name}`);
        } catch (e) {
            failed++;
            console.log(`# ${e.stack.replace(/\n/g, '\n# ')}\nnot ok ${i + 1} - ${name}`);
        }
    }
    process.exit(failed ? 1 : 0);
})();
