# SPDX-License-Identifier: Apache-2.0
"""runtimerows.py - the library's rows: its fibers beside Go's goroutines, tokio's tasks, and the bare parts."""
from driver.machine import processors
from driver.peers import GO, TOKIO
from driver.process import Server, figures_of, free_port
from driver.series import FLOOR, OURS, Row, Series

AHEAD = (("<", 1, GO),)
# mode, title, goal, floor: arguments of floor_switch and how many of its figure the job cannot do without
QUESTIONS = [
    ("yield", "yield, 2 fibers", AHEAD, ("switch 2", 1)),
    ("spawn", "spawn + join", AHEAD, ("switch 2", 2)),
    ("gate", "1000 live on a gate, each", AHEAD, ("switch 1000", 2)),
    ("spawn1000", "1000 empty ones, each", AHEAD, ("switch 1000", 1)),
    ("pp", "unbuffered round trip", AHEAD, ("switch 2", 2)),
    ("pp1", "round trip over two channels of 1", AHEAD, ("switch 2", 2)),
    ("unbuf", "unbuffered item", AHEAD, ("switch 2", 1)),
    ("buf", "buffered item (128)", AHEAD, ("cas", 2)),
    ("sel4", "select of 4, looping senders", AHEAD, ("switch 4", 1)),
    ("sel8", "select of 8, looping senders", AHEAD, ("switch 8", 1)),
    ("selone4", "select of 4, one ready, with its send", AHEAD, ("cas", 2)),
    ("selone8", "select of 8, one ready, with its send", AHEAD, ("cas", 2)),
    ("ppsel", "round trip through a parked select of 4", AHEAD, ("switch 2", 2)),
    ("mutex", "mutex, uncontended pair", (("<=", 1.5, GO),), ("cas", 1)),
    ("fanout", "fan-out, a task of 700 steps", AHEAD, ("task", None)),
]
NOT_TOKIO = ("pp", "unbuf")  # it has no channel without room
PARKED = (("park100k", 100000, "100 k"), ("park1m", 1000000, "1 M"))
PARKED_BYTES_GOAL = 4800
ECHO = ((1, 1), (64, 1), (1000, 1), (64, 2), (1000, 2))  # connections, workers


def many(workers):
    return "1 worker" if workers == 1 else f"{workers} workers"


class Programs:
    """Paths, and how each contender is started."""

    def __init__(self, build, peers, seconds):
        self.fibers = f"{build}/bench/fibers"
        self.floors = f"{build}/bench/floor"
        self.peers, self.seconds = peers, seconds

    def contenders(self, mode, workers):
        """{name: function}; every figure by the name that the program gives it, the mode's own as `value`."""
        def of(command, env=None):
            def ask():
                got = figures_of(command, env=env)
                return {"value" if name == mode else name: v for name, v in got.items()}
            return ask
        found = {OURS: of([self.fibers, mode, str(workers)])}
        if GO in self.peers:
            found[GO] = of([self.peers[GO], mode], {"GOMAXPROCS": str(workers)})
        if TOKIO in self.peers and mode not in NOT_TOKIO:
            found[TOKIO] = of([self.peers[TOKIO], mode, str(workers)])
        return found

    def floor(self, arguments, factor):
        def ask():
            got = figures_of([f"{self.floors}/floor_switch", *arguments.split()])
            return {"value": factor * next(iter(got.values()))}
        return ask


def question_series(programs, workers):
    for mode, title, goal, (floor, factor) in QUESTIONS:
        contenders = programs.contenders(mode, workers)
        # The fan-out's work divides among the workers; nothing else does.
        contenders[FLOOR] = programs.floor(floor, factor if factor else 1 / workers)
        yield Series([Row(f"{mode}/{workers}", f"{title}, {many(workers)}", "ns", goal=goal)], contenders)


def parked_series(programs, workers):
    for mode, count, name in PARKED:
        contenders = programs.contenders(mode, workers)
        contenders[FLOOR] = lambda count=count: figures_of([f"{programs.floors}/floor_switch", "park", str(count)])
        goal = (("<=", PARKED_BYTES_GOAL, None),) if mode == "park1m" else ()
        yield Series([
            Row(f"{mode}/bytes/{workers}", f"bytes a parked fiber at {name}, {many(workers)}", "B", "bytes", goal),
            Row(f"{mode}/time/{workers}", f"spawn + park at {name}, {many(workers)}", "ns", "time", AHEAD),
        ], contenders)


def echo_series(programs, connections, workers):
    """One worker: server and client on processors of their own. Two: both on both, only the server's time tells."""
    cpus = processors()
    server_cpus, client_cpus = ({cpus[0]}, {cpus[-1]}) if workers == 1 else (None, None)

    def of(command, env=None, given_port=False):
        def ask():
            port = free_port() if given_port else None
            with Server(command + ([str(port)] if port else []), server_cpus, env, port) as server:
                return figures_of([f"{programs.floors}/floor_echo_client", f"127.0.0.1:{server.port}", "--conns", str(connections),
                                   "--seconds", str(programs.seconds), "--pid", str(server.pid)], client_cpus)
        return ask
    contenders = {OURS: of([programs.fibers, "echo", str(workers)], given_port=True)}
    if GO in programs.peers:
        contenders[GO] = of([programs.peers[GO], "echo"], {"GOMAXPROCS": str(workers)})
    if TOKIO in programs.peers:
        contenders[TOKIO] = of([programs.peers[TOKIO], "echo", str(workers)])
    contenders[FLOOR] = of([f"{programs.floors}/floor_echo", "epoll"])
    plural = "connection" if connections == 1 else "connections"
    return Series([Row(f"echo/{connections}/{workers}", f"TCP echo, server CPU a round trip, {connections} {plural}, {many(workers)}",
                       "ns", "echo_server_cpu", AHEAD)], contenders)


def all_series(programs):
    found = [s for workers in (1, 2) for s in question_series(programs, workers)]
    found += [s for workers in (1, 2) for s in parked_series(programs, workers)]
    return found + [echo_series(programs, connections, workers) for connections, workers in ECHO]
