#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_cast_hostile.py - weftcast against clients that are broken, slow, gone or malicious, and against want of resources.

Each case ends by proving that an honest client still gets its messages."""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import json

import rawws
from castserver import Server, config
from rawws import BINARY, CLOSE, PING, PONG, TEXT, Closed, RawClient, frame, upgrade_request
from tap import case, check, check_eq, run

SERVER = None
CHANNELS = iter(range(1000000))


class Witness:
    """An honest client of a server; ok() publishes and receives."""
    def __init__(self, server=None):
        self.server = server or SERVER
        self.client = RawClient(self.server.host)
        self.channel = f"witness{next(CHANNELS)}"
        self.client.send(f'{{"id":2,"subscribe":{{"channel":"{self.channel}"}}}}')
        self.client.reply('{"id":2,"subscribe":{}}')

    def ok(self):
        check_eq(self.server.api("publish", {"channel": self.channel, "data": {"n": 1}})[1], '{"result":{}}')
        self.client.reply(f'{{"push":{{"channel":"{self.channel}","pub":{{"data":{{"n": 1}}}}}}}}')


def rss(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@case
def broken_frames():
    witness = Witness()
    for what, data, code in (
            ("reserved opcode", frame(3, "x"), 1002),
            ("reserved control opcode", frame(11, "x"), 1002),
            ("reserved bit", frame(TEXT, "{}", rsv=4), 1002),
            ("not masked", frame(TEXT, "{}", mask=False), 1002),
            ("fragmented ping", frame(PING, "x", fin=False), 1002),
            ("long ping", frame(PING, "x" * 126), 1002),
            ("continuation of nothing", frame(0, "{}"), 1002),
            ("message inside a message", frame(TEXT, "{", fin=False) + frame(TEXT, "}"), 1002),
            ("close of one byte", frame(CLOSE, b"\x03"), (1002, None)),
            ("close with a forbidden code", frame(CLOSE, b"\x03\xee"), 1002),
            ("text that is not UTF-8", frame(TEXT, b'{"id":2,"rpc":{"data":"\xff"}}'), 1007)):
        client = RawClient(SERVER.host)
        client.send_raw(data)
        got = client.wait_closed()[0]
        check(got in (code if isinstance(code, tuple) else (code,)), f"{what}: closed with {got}")
    witness.ok()


@case
def close_is_answered():
    client = RawClient(SERVER.host)
    client.send_raw(frame(CLOSE, b"\x03\xe8bye"))
    check_eq(client.wait_closed()[0], 1000)


@case
def a_length_that_will_never_come():
    witness = Witness()
    before = rss(SERVER.process.pid)
    clients = []
    for length in (1 << 62, 1 << 40, 1 << 31, 65537):
        client = RawClient(SERVER.host)
        client.send_raw(frame(TEXT, "", length=length))
        check_eq((length, client.wait_closed()[0]), (length, 1009))
        clients.append(client)
    for _ in range(100):    # a promise of 65536 bytes each, of which one comes
        client = RawClient(SERVER.host)
        client.send_raw(frame(TEXT, "{", length=65536))
        clients.append(client)
    witness.ok()
    check(rss(SERVER.process.pid) - before < 32 << 20, "promised messages take memory")


@case
def fragments_and_bytes_one_by_one():
    client = RawClient(SERVER.host, connect=False)
    text = '{"id":1,"connect":{}}'
    for i, c in enumerate(text):
        client.send_raw(frame(TEXT if i == 0 else 0, c, fin=i == len(text) - 1))
    client.reply('{"id":1,"connect":{')
    for byte in frame(BINARY, '{"id":2,"subscribe":{"channel":"slow"}}'):
        client.send_raw(bytes([byte]))
    client.reply('{"id":2,"subscribe":{}}')
    client.send_raw(frame(TEXT, '{"id":3,"unsub', fin=False) + frame(PING, "p"))
    check_eq(client.next_frame(), (PONG, b"p"))
    client.send_raw(frame(0, 'scribe":{"channel":"slow"}}'))
    client.reply('{"id":3,"unsubscribe":{}}')


@case
def half_open_handshakes():
    witness = Witness()
    request = upgrade_request(SERVER.host)
    sockets = []
    for i in range(200):
        s = socket.create_connection(SERVER.host.split(":"))
        s.sendall(request[:i % len(request)])
        sockets.append(s)
    witness.ok()
    RawClient(SERVER.host).close()
    for s in sockets:
        s.close()
    witness.ok()


@case
def bad_http():
    for data in (b"\r\n\r\n\r\n\r\nX", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
                 b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX" + b"x" * 100000,
                 b"POST /api/publish HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        with socket.create_connection(SERVER.host.split(":"), timeout=10) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while chunk := s.recv(65536):
                    answer += chunk
            except ConnectionResetError:
                pass
            check(answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5", b"HTTP/1.0 4")), repr((data[:40], answer[:80])))
    Witness().ok()


@case
def flood_of_commands():
    witness = Witness()
    client = RawClient(SERVER.host)
    count = 20000
    block = b"".join(frame(TEXT, f'{{"id":{i},"publish":{{"channel":"flood","data":{i}}}}}') for i in range(2, count + 2))
    pid = os.fork()
    if pid == 0:    # a second process sends, so that both directions flow
        try:
            client.socket.settimeout(60)
            client.send_raw(block)
        finally:
            os._exit(0)
    for i in range(2, count + 2):
        client.reply(f'{{"id":{i},"publish":{{}}}}')
    os.waitpid(pid, 0)
    witness.ok()


@case
def sender_that_does_not_read():
    witness = Witness()
    client = RawClient(SERVER.host, rcvbuf=4096)
    client.socket.settimeout(2)
    block = b"".join(frame(TEXT, f'{{"id":{i},"rpc":{{"method":"{"x" * 1000}","data":{{}}}}}}') for i in range(2, 502))
    before = rss(SERVER.process.pid)
    try:
        for _ in range(40):
            client.send_raw(block)
    except OSError:
        pass    # closed by the server, or pushed back by it: both bound its memory
    witness.ok()
    check(rss(SERVER.process.pid) - before < 64 << 20, "replies that nobody reads take memory")


@case
def slow_reader_is_closed_and_others_are_not():
    conf = config(queue_max_size=65536)
    with Server(conf) as server:
        fast, slow = RawClient(server.host), RawClient(server.host, rcvbuf=4096)
        for c in (fast, slow):
            c.send('{"id":2,"subscribe":{"channel":"big"}}')
            c.reply('{"id":2,"subscribe":{}}')
        before = rss(server.process.pid)
        data = "z" * 30000
        for i in range(600):    # 18 MB: more than sockets and queue hold
            check_eq(server.api("publish", {"channel": "big", "data": [i, data]})[1], '{"result":{}}')
            check(fast.reply('{"push":{"channel":"big"').startswith(f'{{"push":{{"channel":"big","pub":{{"data":[{i},'), "order")
        code, reason = slow.wait_closed()
        check((code, reason) in ((3008, "slow"), (None, "")), f"closed with {code} {reason}")
        check(rss(server.process.pid) - before < 64 << 20, "a slow reader takes memory")
        fast.close()
        slow.close()


@case
def killed_in_the_middle_of_a_message():
    a = RawClient(SERVER.host)
    a.send('{"id":2,"subscribe":{"channel":"pres:kill"}}')
    a.reply('{"id":2,"subscribe":{}}')
    a.reply('{"push":{"channel":"pres:kill","join"')
    script = ("import sys, os, signal; sys.path.insert(0, sys.argv[1]); from rawws import *; c = RawClient(sys.argv[2]);"
              "c.send('{\"id\":2,\"subscribe\":{\"channel\":\"pres:kill\"}}'); c.reply('{\"id\":2');"
              "c.send_raw(frame(TEXT, '{\"id\":3,\"publish\":{\"channel', length=5000)); os.kill(os.getpid(), signal.SIGKILL)")
    done = subprocess.run([sys.executable, "-c", script, os.path.dirname(rawws.__file__), SERVER.host], timeout=30)
    check_eq(done.returncode, -signal.SIGKILL)
    a.reply('{"push":{"channel":"pres:kill","join"')
    a.reply('{"push":{"channel":"pres:kill","leave"')
    Witness().ok()


@case
def no_pong_and_stale():
    with Server(config(ping_interval="1s", pong_timeout="0.3s", stale_close_delay="0.5s")) as server:
        stale = RawClient(server.host, connect=False)
        check_eq(stale.wait_closed(), (3502, "stale"))
        alive, dead = RawClient(server.host), RawClient(server.host)
        for _ in range(3):
            check_eq(alive.line(), "{}")
            alive.send("{}")
        check_eq(dead.wait_closed(), (3012, "no pong"))
        alive.send('{"id":2,"unsubscribe":{"channel":"x"}}')
        alive.reply('{"id":2,"unsubscribe":{}}')
        for c in (stale, alive, dead):
            c.close()


@case
def out_of_file_descriptors():
    server = Server(config(), fd_limit=100)
    server.__enter__()
    try:
        witness = Witness(server)
        api = RawClient(server.host)
        api.send('{"id":2,"subscribe":{"channel":"fd"}}')
        api.reply('{"id":2,"subscribe":{}}')
        sockets = [socket.create_connection(server.host.split(":")) for _ in range(200)]
        api.send('{"id":3,"publish":{"channel":"fd","data":1}}')    # no new connection for the proof
        api.reply('{"push":{"channel":"fd","pub":{"data":1')
        api.reply('{"id":3,"publish":{}}')
        for s in sockets:
            s.close()
        witness.ok()    # this one dials anew
        for c in (RawClient(server.host), api, witness.client):
            c.close()
    finally:
        server.__exit__(*sys.exc_info())


@case
def port_in_use():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "config.json")
        with open(path, "w") as f:
            json.dump({**config(), "http_server": {"address": "127.0.0.1", "port": SERVER.port}}, f)
        done = subprocess.run([SERVER.binary, "--config", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=20)
        check_eq(done.returncode, 1)
        lines = [line for line in done.stdout.split("\n") if "in use" in line]
        check(len(lines) == 1 and str(SERVER.port) in lines[0], done.stdout)


@case
def shutdown_says_goodbye():
    with Server(config()) as server:
        clients = [RawClient(server.host) for _ in range(20)]
        silent = socket.create_connection(server.host.split(":"))    # says nothing, and must not hold up the end
        pid = server.process.pid
        os.kill(pid, signal.SIGTERM)
        for c in clients:
            check_eq(c.wait_closed(), (3001, "shutdown"))
            c.close()
        check_eq(server.process.wait(10), 0)
        silent.close()


with Server() as SERVER:
    run()
