#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_cast_debug.py - looking into a weftcast that serves: kill -QUIT, and the pages of debug.enabled.

weftcast starts no fibers, so what there is to see are its pinned loops. SIGQUIT must end it with status 2 and the
text that the pages have too.
"""
import os
import re
import shutil
import signal
import socket
import subprocess

from castserver import Server, config
from tap import case, check, check_eq, run, skip
from wsraw import Ws

CLIENTS = 7
LOOP = re.compile(r'^loop (\d+) "(shard-\d+)" \[(polling, last turn [^\]]+ ago|in [^\]]+)\]: (io_uring|epoll), '
                  r"thread (\d+), (\d+) listeners, (\d+) sockets, (\d+) timers, \d+ messages waiting, \d+ turns$", re.M)


def server(debug=None, shards=2, internal=False):
    conf = config()
    conf["weftcast"] = {"shards": shards}
    if debug:
        conf["debug"] = debug
    return Server(conf, internal=internal)


def with_clients(s):
    clients = [Ws(s) for _ in range(CLIENTS)]
    for c in clients:
        c.connect()
        c.ask(2, "subscribe", channel="news")
    return clients


def looks_right(text, pid):
    loops = LOOP.findall(text)
    check(text.count("no fibers\n") == 1, text)
    check_eq([l[1] for l in loops], ["shard-0", "shard-1"], text)
    check_eq(len({l[3] for l in loops}), 1, text)
    if os.environ.get("WEFT_IO") == "epoll":
        check_eq(loops[0][3], "epoll", text)
    for thread in [l[4] for l in loops]:
        check(pid is None or os.path.isdir(f"/proc/{pid}/task/{thread}"), text)
    check_eq(sum(int(l[5]) for l in loops), 1, text)
    check(sum(int(l[6]) for l in loops) >= CLIENTS, text)
    check(sum(int(l[7]) for l in loops) >= CLIENTS, text)    # each has a ping to come
    check_eq(text.count("    weft_loop_run\n"), 2, text)


@case
def sigquit_writes_the_loops_and_ends_with_2():
    s = server()
    s.__enter__()
    try:
        clients = with_clients(s)
        s.process.send_signal(signal.SIGQUIT)
        check_eq(s.process.wait(30), 2, s.output())
        text = s.output()
        check(f"weft: SIGQUIT: every fiber and pinned loop of process {s.process.pid}\n" in text, text)
        looks_right(text, None)
        for c in clients:
            c.sock.close()
    finally:
        s.stop()
        s.log.close()
        shutil.rmtree(s.folder, ignore_errors=True)


@case
def pages_are_off_by_default():
    with server() as s:
        for path in ("/debug/pprof", "/debug/pprof/", "/debug/pprof/goroutine?debug=2"):
            check_eq(s.http(path)[::2], (404, "404 page not found\n"), path)


@case
def pages_show_the_loops():
    with server({"enabled": True}) as s:
        clients = with_clients(s)
        status, head, text = s.http("/debug/pprof/goroutine?debug=2")
        check_eq((status, head["Content-Type"]), (200, "text/plain; charset=utf-8"), text)
        looks_right(text, s.process.pid)
        status, _, text = s.http("/debug/pprof/goroutine?debug=1")
        check_eq(status, 200)
        check(text.startswith("goroutine profile: total 2\n"), text)
        check("\n--- Memory map: ---\n" in text and "weft_loop_run+0x" in text, text)
        check_eq(s.http("/debug/pprof/goroutine", method="HEAD")[0], 200)
        status, head, text = s.http("/debug/pprof")    # urllib follows
        check_eq((status, head["Content-Type"]), (200, "text/html; charset=utf-8"), text)
        check('href="goroutine?debug=2"' in text, text)
        check_eq(s.http("/debug/pprof/heap")[::2], (404, "Unknown profile\n"))
        check_eq(s.http("/debug/pprofile")[0], 404)
        check_eq(s.http("/debug/pprof/goroutine", method="DELETE")[0], 405)
        check_eq(s.http("/debug/pprof/symbol", b"0x1")[::2], (200, "num_symbols: 1\n0x1\t?\n"))
        for c in clients:
            c.sock.close()


@case
def askers_that_leave_and_crowds():
    with server({"enabled": True}) as s:
        request = b"GET /debug/pprof/goroutine?debug=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        for _ in range(20):
            with socket.create_connection((s.host.split(":")[0], s.port)) as gone:
                gone.sendall(request)
        crowd = [socket.create_connection((s.host.split(":")[0], s.port)) for _ in range(20)]
        for c in crowd:
            c.sendall(request)
        for c in crowd:
            check(c.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 503"), "200 or 503")
            c.close()
        check_eq(s.http("/health")[0], 200)


@case
def pages_move_to_the_internal_port():
    with server({"enabled": True, "handler_prefix": "/inside"}, internal=True) as s:
        check_eq(s.http("/inside/goroutine?debug=2")[0], 404)
        check_eq(s.http("/debug/pprof/goroutine?debug=2", internal=True)[0], 404)
        status, _, text = s.http("/inside/goroutine?debug=2", internal=True)
        check_eq(status, 200)
        check(len(LOOP.findall(text)) == 2, text)
        log = s.output()
        check(re.search(r"serving [^\n]*debug[^\n]* endpoints on 127\.0\.0\.1:%d" % s.internal_port, log), log)


@case
def pprof_shows_names():
    if not shutil.which("go"):
        skip("go is not installed")
    with server({"enabled": True}) as s:
        done = subprocess.run(["go", "tool", "pprof", "-top", f"http://{s.host}/debug/pprof/goroutine"], timeout=60, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "PPROF_TMPDIR": s.folder})
        check_eq(done.returncode, 0, done.stdout)
        check(re.search(r"\s2\s+100%\s+weft_loop_run", done.stdout), done.stdout)


run()
