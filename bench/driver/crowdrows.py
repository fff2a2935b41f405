# SPDX-License-Identifier: Apache-2.0
"""crowdrows.py - more of the library's rows: many fibers on one lock or channel, a million timers, how soon a sleeper
runs, trees of contexts, warm stacks, an HTTP greeting beside nginx; and what a line between two cores costs bare."""
import os
import re
import shutil
import tempfile

from driver.machine import processors
from driver.peers import BOOST, GO, NGINX, ST, TOKIO
from driver.process import Failed, Server, figures_of, free_port, output_of
from driver.runtimerows import AHEAD, go, many
from driver.series import FLOOR, OURS, Row, Series

CROWDS, LENGTHS = (2, 8, 64), ("short", "long")
PAIRS = ("1x1", "4x4", "64x64", "1000x1000")
TICKS = 1000  # half a millisecond apart

# Serves the bytes from its configuration, that is from memory; no log, one process.
NGINX_CONFIG = """
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    default_type "text/plain; charset=utf-8";
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ return 200 "Hello, World!\\n"; }}
    }}
}}
"""


def lock_series(programs, workers):
    """Throughput and waits: of the mutex in all peers, of the lock for several readers in those that have one."""
    for kind, name in (("mutex", "mutex"), ("rw", "rwmutex, 1 in 10 writes")):
        for length in LENGTHS:
            for fibers in CROWDS:
                mode = f"{kind}{fibers}{length}"
                contenders = programs.contenders(mode, workers, programs.crowds, (BOOST, ST) if kind == "rw" else ())
                contenders[FLOOR] = programs.floor("cas", 1)  # it waits for nobody, so the P99 has none
                title = f"{name}, {fibers} fibers, {length} sections, {many(workers)}"
                yield Series([Row(f"{mode}/{workers}", title, "ns", goal=AHEAD),
                              Row(f"{mode}/p99/{workers}", f"P99 wait: {title}", "µs", "p99", AHEAD)],
                             contenders)


def many_series(programs, workers):
    for pair in PAIRS:
        mode = f"nm{pair}"
        without = (ST,) if pair == "1x1" else (ST, TOKIO)  # tokio's channel has one receiver
        contenders = programs.contenders(mode, workers, programs.crowds, without)
        contenders[FLOOR] = programs.floor("cas", 2)
        yield Series([Row(f"{mode}/{workers}", f"{pair} producers and consumers on one channel, an item, {many(workers)}", "ns",
                          goal=AHEAD)], contenders)


def timer_series(programs, workers):
    contenders = programs.contenders("timers", workers, programs.crowds, (BOOST, ST))
    return Series([Row(f"timers/{what}/{workers}", f"1,000,000 timers, {what}, {many(workers)}", "ns", what, AHEAD)
                   for what in ("start", "reset", "stop", "fire")], contenders)


def soon_series(programs, workers):
    """Sleep precision, and from an event to the fiber that waits for it."""
    wake = f"{programs.floors}/floor_wake"
    feed = [wake, "ticks", str(TICKS)]
    sleep = programs.contenders("sleep", workers, programs.crowds)
    sleep[FLOOR] = lambda: figures_of([wake, "sleep"])
    event = programs.contenders("event", workers, programs.crowds, (BOOST,), feed)
    event[FLOOR] = lambda: figures_of([wake, "event"], feed=feed)
    for mode, title, contenders in (("sleep", "how late after a sleep of 1 ms", sleep),
                                    ("event", "from a byte in a pipe to its fiber", event)):
        yield Series([Row(f"{mode}/{p}/{workers}", f"{title}, {word}, {many(workers)}", "µs", p, AHEAD)
                      for p, word in (("p50", "median"), ("p99", "P99"))], contenders)


def other_series(programs, workers):
    tree = programs.contenders("ctxtree", workers, programs.crowds, (TOKIO, BOOST, ST))
    yield Series([Row(f"ctxtree/{workers}", f"cancel of a tree of 10,000 contexts, each, {many(workers)}", "ns", goal=AHEAD)], tree)
    for mode, title, floor, goal in (("parkwarm", "spawn + park on warm stacks, 1000", "switch 1000", go(0.35)),
                                     ("parkagain", "spawn + park where 100 k have been", None, AHEAD)):
        contenders = programs.contenders(mode, workers, programs.crowds)
        if floor:
            contenders[FLOOR] = programs.floor(floor, 1)
        yield Series([Row(f"{mode}/{workers}", f"{title}, {many(workers)}", "ns", goal=goal)], contenders)


def floor_series(programs):
    """Rows of bare parts: nobody competes."""
    wake = f"{programs.floors}/floor_wake"
    def line():
        return {"value": figures_of([wake, "line"])["line"]}
    yield Series([Row("floor/switch", "bare: one switch of contexts", "ns")], {FLOOR: programs.floor("switch 2", 1)})
    yield Series([Row("floor/cas", "bare: compare-and-exchange and exchange, one's own line", "ns")], {FLOOR: programs.floor("cas", 1)})
    yield Series([Row("floor/line", "bare: one cache line from core to core, one way", "ns")], {FLOOR: line})


# ---- HTTP ----

class Nginx(Server):
    def __init__(self, program, cpus):
        self.folder = tempfile.TemporaryDirectory(prefix="weft-bench-nginx-")
        port = free_port()
        path = os.path.join(self.folder.name, "nginx.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(NGINX_CONFIG.format(folder=self.folder.name, port=port))
        super().__init__([program, "-p", self.folder.name, "-c", path], cpus, port=port)

    def __exit__(self, *_):
        super().__exit__()
        self.folder.cleanup()


def requests_per_second(port, seconds, cpus):
    if not shutil.which("wrk"):
        raise Failed("wrk is not installed")
    out = output_of(["wrk", "-t1", "-c64", f"-d{max(1, round(seconds))}s", f"http://127.0.0.1:{port}/"], cpus)
    found = re.search(r"Requests/sec:\s*([\d.]+)", out)
    if not found or "Non-2xx" in out or "Socket errors" in out:
        raise Failed("wrk: " + " ".join(out.split())[-200:])
    return float(found[1])


def http_series(programs):
    """The server on the first processor, wrk on the last; requests a second at 64 connections."""
    cpus = processors()

    def of(make_server):
        def ask():
            with make_server({cpus[0]}) as server:
                return {"value": requests_per_second(server.port, programs.seconds, {cpus[-1]})}
        return ask

    def ours(cpu):
        port = free_port()
        return Server([programs.crowds, "http", "1", str(port)], cpu, port=port)
    contenders = {OURS: of(ours)}
    if NGINX in programs.peers:
        contenders[NGINX] = of(lambda cpu: Nginx(programs.peers[NGINX], cpu))
    if GO in programs.peers:
        contenders[GO] = of(lambda cpu: Server([programs.peers[GO], "http"], cpu, {"GOMAXPROCS": "1"}))
    return Series([Row("http", "HTTP/1.1 hello under wrk, 64 connections, one core", "requests/s", goal=((">", 1, NGINX),),
                       more_is_better=True, section="http")], contenders)


def all_series(programs):
    found = []
    for workers in (1, 2):
        for some in (lock_series, many_series, soon_series, other_series):
            found += some(programs, workers)
        found.append(timer_series(programs, workers))
    return found + list(floor_series(programs)) + [http_series(programs)]
