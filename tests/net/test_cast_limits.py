#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_cast_limits.py - weftcast at its limits: counts, times, slow readers, descriptors, start, reload and end."""
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

from castserver import OPEN, Server, config
from tap import Failed, case, check, check_eq, run
from wsraw import Ws, jwt, until


def server(**client):
    return Server(config(**client))


@case
def origins():
    with server(allowed_origins=["https://*.example"]) as s:
        for origin, status in [("https://a.example", 101), ("https://a.other", 403), (None, 101)]:
            with Ws(s, headers={"Origin": origin} if origin else None) as c:
                check_eq(c.status, status, origin)


@case
def connection_limit():
    with server(connection_limit=2) as s:
        a, b = Ws(s), Ws(s)
        with Ws(s) as c:
            check_eq(c.status, 503, "the third")
        a.sock.close()

        def again():
            with Ws(s) as c:
                return c.status == 101
        until("room after one has gone", again)
        b.sock.close()


@case
def connection_rate_limit():
    with server(connection_rate_limit=5) as s:
        many = [Ws(s) for _ in range(30)]
        refused = [c for c in many if c.status == 503]
        check(len(refused) >= 15, f"{len(refused)} of 30 refused")
        check(any(c.status == 101 for c in many), "some got in")
        for c in many:
            c.sock.close()

        def again():
            with Ws(s) as c:
                return c.status == 101
        until("another second", again)


def login(s, password, source="127.0.0.1"):
    """(status, Retry-After or None, body) of a login from a loopback address."""
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=10, source_address=(source, 0))
    c.request("POST", "/admin/auth", urllib.parse.urlencode({"password": password}))
    r = c.getresponse()
    answer = r.status, r.headers["Retry-After"], r.read().decode()
    c.close()
    return answer


def console_config():
    conf = config()
    conf["admin"] = {"enabled": True, "password": "right & long"}
    return conf


@case
def console_login_limit_of_an_address():
    with Server(console_config()) as s:
        for guess in ("", "right", "right & long ", "right & lonG", "x" * 3000):
            check_eq(login(s, guess)[0], 400, f"a wrong one: {guess[:20]!r}")
        for guess in ("wrong", "right & long"):
            status, wait, body = login(s, guess)
            check_eq((status, body), (429, "Too Many Requests\n"), f"past the limit: {guess}")
            check(1 <= int(wait) <= 12, f"Retry-After: {wait}")
        for _ in range(8):    # right ones are not counted
            check_eq(login(s, "right & long", "127.0.0.2")[0], 200, "from elsewhere")
        token = json.loads(login(s, "right & long", "127.0.0.2")[2])["token"]
        status, _, _ = s.http("/admin/state", headers={"Authorization": f"token {token}"})
        check_eq(status, 200, "a token is good where logins are refused")
        lines = [json.loads(line) for line in s.output().splitlines() if "console login failed" in line]
        check_eq([line["address"] for line in lines], ["127.0.0.1"] * 5, "lines in the log")
        check_eq(["seconds" in line for line in lines], [False] * 4 + [True], "the last says for how long")


@case
def console_login_limit_of_all_addresses():
    with Server(console_config()) as s:
        began = time.monotonic()
        statuses = [login(s, "wrong", f"127.0.1.{i}")[0] for i in range(1, 201)]
        back = int(time.monotonic() - began) + 1    # a try comes back each second
        check_eq(statuses[:50], [400] * 50, "the first tries")
        check(50 <= statuses.count(400) <= 50 + back, f"{statuses.count(400)} let through")
        check_eq(statuses.count(400) + statuses.count(429), 200, "all answered")
        check_eq(s.output().count("console login failed"), statuses.count(400), "lines in the log")


@case
def user_connection_limit():
    with server(user_connection_limit=2) as s:
        token = jwt(sub="7")
        a, b = Ws(s), Ws(s)
        a.connect(token=token), b.connect(token=token)
        with Ws(s) as c:
            c.send({"id": 1, "connect": {"token": token}})
            check_eq(c.closed(), (3504, "connection limit"), "the third")
        with Ws(s) as c:
            c.connect(token=jwt(sub="8"))
        a.sock.close()

        def again():
            with Ws(s) as c:
                c.send({"id": 1, "connect": {"token": token}})
                try:
                    return "connect" in c.line()
                except Failed:
                    return False
        until("room after one has gone", again)
        b.sock.close()


@case
def single_personal_connection():
    conf = config(subscribe_to_user_personal_channel={"enabled": True, "personal_channel_namespace": "pres",
                                                      "single_connection": True})
    with Server(conf) as s, Ws(s) as a, Ws(s) as b:
        got = a.connect(token=jwt(sub="7"))
        check_eq(list(got["subs"]), ["pres:#7"], "personal channel")
        b.connect(token=jwt(sub="7"))
        check_eq(a.closed(), (3504, "connection limit"), "the older one")
        s.api("publish", {"channel": "pres:#7", "data": 1})
        until("its publication", lambda: b.line()["push"].get("pub") == {"data": 1})


@case
def stale_and_no_pong():
    with server(stale_close_delay="1s", ping_interval="1s", pong_timeout="500ms") as s:
        with Ws(s) as c:
            check_eq(c.closed(), (3502, "stale"), "no connect")
        with Ws(s, pong=False) as c:
            got = c.connect()
            check_eq((got["ping"], got["pong"]), (1, True), "announced")
            check_eq(c.line(pings=True), {}, "ping")
            check_eq(c.closed(), (3012, "no pong"), "no pong")
        with Ws(s) as c:
            c.connect()
            for _ in range(3):
                check_eq(c.line(pings=True), {}, "pings that are answered")
            check_eq(c.ask(2, "subscribe", channel="ch"), {}, "still there")


@case
def frame_pings():
    with server(ping_interval="1s", pong_timeout="500ms") as s, Ws(s, query="?cf_ws_frame_ping_pong=true") as c:
        got = c.connect()
        check("ping" not in got and "pong" not in got, "not announced")
        for _ in range(2):
            check_eq(c.line(), (9, b""), "ping frame")
            c.sock.sendall(c.frame(10, b""))
        check_eq(c.line(), (9, b""), "the third is not answered")
        check_eq(c.closed()[0], 3012, "no pong")


@case
def expiry_of_a_connection():
    with server(expired_close_delay="1s") as s, Ws(s) as c, Ws(s) as d:
        soon = int(time.time()) + 2
        got = c.connect(token=jwt(sub="7", exp=soon))
        check(got["expires"] and got["ttl"] <= 2, got)
        d.connect(token=jwt(sub="7", exp=soon))
        check_eq(d.ask(2, "refresh", token=jwt(sub="7", exp=int(time.time()) + 100))["expires"], True, "refreshed")
        check_eq(c.closed(), (3005, "connection expired"), "not refreshed")
        check_eq(d.ask(3, "subscribe", channel="ch"), {}, "the refreshed one is there")


@case
def expiry_of_subscriptions():
    with server(expired_sub_close_delay="1s", presence_update_interval="1s") as s, Ws(s) as c, Ws(s) as d:
        soon = int(time.time()) + 1
        c.connect(token=jwt(sub="7"))
        got = c.ask(2, "subscribe", channel="deny:1", token=jwt(sub="7", channel="deny:1", exp=soon))
        check(got["expires"], got)
        check_eq(c.line(), {"push": {"channel": "deny:1", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}},
                 "client-side")
        d.connect(token=jwt(sub="8"))
        s.api("subscribe", {"user": "8", "channel": "ch", "expire_at": soon + 1})
        check_eq(d.line()["push"]["channel"], "ch", "subscribed")
        check_eq(d.closed(), (3006, "subscription expired"), "server-side")


@case
def insufficient_state():
    conf = config(channel_position_check_delay="3s", presence_update_interval="1s")
    conf["channel"]["namespaces"].append({"name": "ttl", "force_recovery": True, **OPEN, "history_size": 5,
                                          "history_ttl": "1s", "history_meta_ttl": "1s"})
    with Server(conf) as s, Ws(s) as c, Ws(s) as d:
        c.connect(), d.connect(token=jwt(sub="9"))
        c.ask(2, "subscribe", channel="ttl:a")
        s.api("subscribe", {"user": "9", "channel": "ttl:a"})
        check_eq(d.line()["push"]["subscribe"]["positioned"], True, "server-side")
        check_eq(c.line(), {"push": {"channel": "ttl:a", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}},
                 "client-side")
        check_eq(d.closed(), (3010, "insufficient state"), "server-side")


@case
def publication_into_a_new_stream():
    conf = config()
    conf["channel"]["namespaces"].append({"name": "ttl", "force_recovery": True, **OPEN, "history_size": 5,
                                          "history_ttl": "1s", "history_meta_ttl": "1s"})
    with Server(conf) as s, Ws(s) as c:
        c.connect()
        first = c.ask(2, "subscribe", channel="ttl:a")["epoch"]

        def other_epoch():
            return json.loads(s.api("publish", {"channel": "ttl:a", "data": 1})[1])["result"]["epoch"] != first
        time.sleep(1.3)    # the stream's time itself is what is waited for
        check(other_epoch(), "the stream is a new one")
        check_eq(c.line()["push"], {"channel": "ttl:a", "unsubscribe": {"code": 2500, "reason": "insufficient state"}},
                 "told at once, without the publication")


@case
def slow_reader():
    with server(queue_max_size=100000) as s, Ws(s, rcvbuf=4096) as slow, Ws(s) as fast:
        slow.connect(), fast.connect()
        slow.ask(2, "subscribe", channel="ch"), fast.ask(2, "subscribe", channel="ch")
        data, sent = "x" * 4000, 0
        while sent < 3000:
            commands = [json.dumps({"publish": {"channel": "ch", "data": [sent + i, data]}}) for i in range(50)]
            status, answer = s.api("batch", '{"commands":[' + ",".join(commands) + "]}")
            check_eq(status, 200, answer)
            for i in range(50):
                check_eq(fast.line()["push"]["pub"]["data"][0], sent + i, "the fast one misses nothing")
            sent += 50
            if "weftcast_slow_disconnects_total 1" in s.http("/metrics")[2]:
                break
        check(sent < 3000, "the slow one was never closed")
        got = 0
        try:
            while True:
                check_eq(slow.line()["push"]["pub"]["data"][0], got, "what it was given is whole and in order")
                got += 1
        except Failed:
            check_eq(slow.close, (3008, "slow"), "close")


@case
def channel_limit_and_message_sizes():
    with server(channel_limit=3) as s, Ws(s) as c:
        c.connect()
        for i in range(3):
            check_eq(c.ask(10 + i, "subscribe", channel=f"c{i}"), {}, "within")
        check_eq(c.ask(20, "subscribe", channel="c9")["error"]["code"], 106, "past it")
        check_eq(c.ask(21, "unsubscribe", channel="c0"), {}, "one less")
        check_eq(c.ask(22, "subscribe", channel="c9"), {}, "room again")
        c.sock.sendall(c.frame(1, b"x" * 65537)[:20])
        check_eq(c.closed(), (1009, ""), "told by the head alone")


@case
def fragments_and_control_frames():
    with server() as s, Ws(s) as c:
        c.connect()
        text = b'{"id":2,"publish":{"channel":"ch","data":"' + b"y" * 300 + b'"}}'
        for i in range(0, len(text), 50):
            c.sock.sendall(c.frame(9, b"ping%d" % i))
            c.sock.sendall(c.frame(1 if i == 0 else 0, text[i:i + 50], fin=i + 50 >= len(text)))
            check_eq(c.line(), (10, b"ping%d" % i), "pong in between")
        check_eq(c.line(), {"id": 2, "publish": {}}, "one message")
        for byte in c.frame(1, b'{"id":3,"subscribe":{"channel":"ch"}}'):
            c.sock.sendall(bytes([byte]))
        check_eq(c.line(), {"id": 3, "subscribe": {}}, "byte by byte")
        c.sock.sendall(c.frame(8, b"\x03\xe8bye"))
        check_eq(c.closed(), (1000, ""), "close is answered")


@case
def broken_frames():
    with server() as s:
        for bytes_, code in [(b"\x81\x02{}", 1002), (b"\xc1\x80abcd", 1002), (b"\x83\x80abcd", 1002), (b"\x89\xfe\x01\x00abcd", 1002)]:
            with Ws(s) as c:
                c.connect()
                c.sock.sendall(bytes_)
                check_eq(c.closed()[0], code, bytes_)
        with Ws(s) as c:
            c.connect()
            c.sock.sendall(c.frame(1, b'{"id":2,"rpc":{"data":"\xff"}}'))
            check_eq(c.closed()[0], 1007, "not UTF-8")


@case
def killed_in_mid_message_leaves_presence():
    with server() as s, Ws(s) as watcher:
        watcher.connect()
        watcher.ask(2, "subscribe", channel="pres:1")
        check_eq(watcher.line()["push"]["join"]["info"]["user"], "", "own join")
        c = Ws(s)
        c.connect(token=jwt(sub="9"))
        c.ask(2, "subscribe", channel="pres:1")
        check_eq(watcher.line()["push"]["join"]["info"]["user"], "9", "join")
        c.sock.sendall(c.frame(1, b'{"id":2,"publish":{"channel":"pres:1","data":"half')[:-7])
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")    # a reset, as from a killed process
        c.sock.close()
        check_eq(watcher.line()["push"]["leave"]["info"]["user"], "9", "leave")


def raw(s, data, more=()):
    """Everything that the server answers to bytes until it closes."""
    with socket.create_connection(("127.0.0.1", s.port), timeout=20) as c:
        c.sendall(data)
        for part in more:
            c.sendall(part)
        got = b""
        while True:
            piece = c.recv(65536)
            if not piece:
                return got
            got += piece


@case
def http_limits():
    with server() as s:
        head = f"GET /health HTTP/1.1\r\nHost: {s.host}\r\n".encode()
        check(raw(s, head + b"X: " + b"a" * 20000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 "), "a long field")
        check(raw(s, b"GARBAGE\r\n\r\n").startswith(b"HTTP/1.1 400 "), "no request line")
        post = f"POST /api/publish HTTP/1.1\r\nHost: {s.host}\r\nX-API-Key: wire-key\r\n".encode()
        got = raw(s, post + b"Content-Length: 99999999\r\n\r\n")
        check(got.startswith(b"HTTP/1.1 413 "), got[:40])
        chunked = post + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = [b"5\r\n{\"cha\r\n", b"18\r\nnnel\":\"ch\",\"data\":{\"a\":1\r\n", b"2\r\n}}\r\n0\r\n\r\n"]
        check(raw(s, chunked, body).endswith(b'{"result":{}}'), "chunks")
        two = head + b"\r\n" + head + b"Connection: close\r\n\r\n"
        check_eq(raw(s, two).count(b"HTTP/1.1 200 OK"), 2, "two requests in one piece")


@case
def slow_and_silent_requests():
    with server() as s:
        with socket.create_connection(("127.0.0.1", s.port), timeout=20) as silent, \
                socket.create_connection(("127.0.0.1", s.port), timeout=20) as slow:
            slow.sendall(b"GET /hea")
            check(slow.recv(100).startswith(b"HTTP/1.1 408 "), "half a head")
            check_eq(silent.recv(100), b"", "nothing at all")


@case
def flood_of_commands():
    with server() as s, Ws(s) as c:
        c.connect()
        c.ask(2, "subscribe", channel="hist:f")
        n = 2000
        for at in range(0, n, 100):
            c.send(*[{"id": 10 + i, "publish": {"channel": "hist:f", "data": i}} for i in range(at, at + 100)])
        replies = pushes = 0
        while replies < n:
            got = c.line()
            if "push" in got:
                pushes += 1
                check_eq(got["push"]["pub"]["offset"], pushes, "pushes in order")
            else:
                check_eq(got, {"id": 10 + replies, "publish": {}}, "replies in order")
                replies += 1
                check(pushes >= replies, "own push before its reply")


@case
def descriptors_run_out():
    limit = 64
    with tempfile.TemporaryDirectory() as folder:
        few = os.path.join(folder, "few")
        with open(few, "w") as f:
            f.write(f'#!/bin/sh\nulimit -n {limit}\nexec {shlex.quote(Server().binary)} "$@"\n')
        os.chmod(few, 0o700)
        with Server(binary=few) as s, Ws(s) as first:
            first.connect()
            first.ask(2, "subscribe", channel="ch")
            many = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(limit * 2)]
            until("the log says so", lambda: "accepting pauses" in s.output())
            first.ask(3, "publish", channel="ch", data=1)
            check_eq(first.pushes[0]["pub"]["data"], 1, "those who are in do not notice")
            for c in many:
                c.close()

            def in_again():
                with Ws(s) as c:
                    return c.connect()
            until("accepting goes on", in_again)


@case
def port_in_use():
    with server() as s:
        with open(os.path.join(s.folder, "second.json"), "w") as f:
            json.dump(s.config, f)
        done = subprocess.run([s.binary, "--config", f.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd=s.folder, timeout=20)
        check_eq(done.returncode, 1, "status")
        last = json.loads(done.stdout.strip().split("\n")[-1])
        check_eq((last["level"], last["message"]), ("fatal", "error ListenAndServe"), "line")
        check("address already in use" in last["error"], last["error"])


@case
def reload():
    with server() as s, Ws(s) as c:
        c.connect()
        check_eq(c.ask(2, "subscribe", channel="late:1")["error"]["code"], 102, "unknown namespace")
        s.config["channel"]["namespaces"].append({"name": "late", **OPEN})
        path = os.path.join(s.folder, "config.json")
        with open(path, "w") as f:
            json.dump(s.config, f)
        s.process.send_signal(signal.SIGHUP)
        until("taken over", lambda: "successfully reloaded" in s.output())
        check_eq(c.ask(3, "subscribe", channel="late:1"), {}, "known now")
        with open(path, "w") as f:
            f.write("{bad")
        s.process.send_signal(signal.SIGHUP)
        until("refused", lambda: "error reading config" in s.output())
        check_eq(c.ask(4, "subscribe", channel="late:2"), {}, "the old one stays")


@case
def drain():
    s = server()
    with s:
        clients = [Ws(s) for _ in range(20)]
        for c in clients:
            c.connect()
        idle = socket.create_connection(("127.0.0.1", s.port))
        s.process.send_signal(signal.SIGTERM)
        for c in clients:
            check_eq(c.closed(), (3001, "shutdown"), "each is told")
            c.sock.sendall(c.frame(8, b"\x0b\xb9"))
        check_eq(s.process.wait(4), 0, "status, before anybody's time is up")
        check_eq(idle.recv(10), b"", "idle ones are closed")


@case
def drain_runs_out_of_time():
    conf = config()
    conf["shutdown"] = {"timeout": "1s"}
    s = Server(conf)
    try:
        with s, Ws(s) as c:
            c.connect()
            s.process.send_signal(signal.SIGTERM)
            check_eq(s.process.wait(4), 1, "a client never answers")
            check("shutdown timeout reached" in s.output(), "said so")
            raise InterruptedError    # the status was checked here
    except InterruptedError:
        pass


@case
def idle_costs_nothing():
    with server() as s, Ws(s) as c:
        c.connect()

        def cpu():
            with open(f"/proc/{s.process.pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])

        def wakes():
            total = 0
            for task in os.listdir(f"/proc/{s.process.pid}/task"):
                with open(f"/proc/{s.process.pid}/task/{task}/comm") as f:
                    if int(task) != s.process.pid and not f.read().startswith("shard-"):
                        continue    # a sanitizer's own
                with open(f"/proc/{s.process.pid}/task/{task}/status") as f:
                    total += sum(int(line.split()[1]) for line in f if "voluntary_ctxt_switches" in line)
            return total
        before, woke = cpu(), wakes()
        time.sleep(2)    # an interval is what is measured
        check(wakes() - woke <= 10, f"{wakes() - woke} wake-ups in two idle seconds")
        check(cpu() - before <= 2, f"{cpu() - before} ticks of the processor")


run()
