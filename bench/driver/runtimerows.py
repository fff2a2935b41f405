# SPDX-License-Identifier: Apache-2.0
"""runtimerows.py - the library's rows: its fibers beside Go's goroutines, tokio's tasks, the fibers of boost and of
state-threads, and the bare parts."""
from driver.machine import processors
from driver.peers import BOOST, GO, ST, TOKIO
from driver.process import Server, figures_of, free_port
from driver.series import FLOOR, OURS, Row, Series

AHEAD = (("<", 1, GO),)
AHEAD_OF_BOTH = (("<", 1, GO), ("<", 1, TOKIO))


def go(factor, tokio=None):
    """At most this share of Go's time, and of tokio's where one is given; 1: ahead of tokio."""
    return (("<=", factor, GO),) + (() if tokio is None else (("<" if tokio == 1 else "<=", tokio, TOKIO),))


# mode, title, goal, floor: arguments of floor_switch and how many of its figure the job cannot do without
QUESTIONS = [
    ("yield", "yield, 2 fibers", go(0.25), ("switch 2", 1)),
    ("spawn", "spawn + join", go(0.2, 1), ("switch 2", 2)),
    ("gate", "1000 live on a gate, each", go(0.35, 1), ("switch 1000", 2)),
    ("spawn1000", "1000 empty ones, each", go(0.4, 1), ("switch 1000", 1)),
    ("pp", "unbuffered round trip", go(0.33), ("switch 2", 2)),
    ("pp1", "round trip over two channels of 1", go(0.33, 0.6), ("switch 2", 2)),
    ("unbuf", "unbuffered item", AHEAD, ("switch 2", 1)),
    ("buf", "buffered item (128)", go(0.5), ("cas", 2)),
    ("sel4", "select of 4, looping senders", go(0.33, 1), ("switch 4", 1)),
    ("sel8", "select of 8, looping senders", go(0.33, 1), ("switch 8", 1)),
    ("selone4", "select of 4, one ready, with its send", go(0.33, 1), ("cas", 2)),
    ("selone8", "select of 8, one ready, with its send", go(0.33, 1), ("cas", 2)),
    ("ppsel", "round trip through a parked select of 4", go(0.33, 1), ("switch 2", 2)),
    ("mutex", "mutex, uncontended pair", go(1.1), ("cas", 1)),
    ("fanout", "fan-out, a task of 700 steps", go(0.65), ("task", None)),
]
# What a peer has no answer to: tokio has no channel without room; boost.fiber no select; state-threads neither
# channels nor a second worker.
NOT_TOKIO = {"pp", "unbuf"}
NOT_BOOST = {"sel4", "sel8", "selone4", "selone8", "ppsel"}
NOT_ST = NOT_BOOST | {"pp", "pp1", "unbuf", "buf"}
PARKED = (("park100k", 100000, "100 k"), ("park1m", 1000000, "1 M"))
PARKED_BYTES_GOAL = 4300
BLOCKING_NS_GOAL = 200
FRESH = (("<=", 1.3, FLOOR),)
URING = "bare io_uring"  # the same loop on the other interface; in bench.json only
ECHO = ((1, 1), (64, 1), (1000, 1), (64, 2), (1000, 2))  # connections, workers


def many(workers):
    return "1 worker" if workers == 1 else f"{workers} workers"


class Programs:
    """Paths, and how each contender is started."""

    def __init__(self, build, peers, seconds):
        self.fibers, self.crowds = f"{build}/bench/fibers", f"{build}/bench/crowds"
        self.floors = f"{build}/bench/floor"
        self.peers, self.seconds = peers, seconds

    def contenders(self, mode, workers, program=None, without=(), feed=None):
        """{name: function}; every figure by the name that the program gives it, the mode's own as `value`."""
        def of(command, env=None):
            def ask():
                got = figures_of(command, env=env, feed=feed)
                return {"value" if name == mode else name: v for name, v in got.items()}
            return ask
        found = {OURS: of([program or self.fibers, mode, str(workers)])}
        commands = {GO: [mode], TOKIO: [mode, str(workers)], BOOST: [mode, str(workers)], ST: [mode]}
        for name, arguments in commands.items():
            if name in self.peers and name not in without and (name != ST or workers == 1):
                found[name] = of([self.peers[name], *arguments], {"GOMAXPROCS": str(workers)} if name == GO else None)
        return found

    def floor(self, arguments, factor):
        def ask():
            got = figures_of([f"{self.floors}/floor_switch", *arguments.split()])
            return {"value": factor * next(iter(got.values()))}
        return ask


def question_series(programs, workers):
    for mode, title, goal, (floor, factor) in QUESTIONS:
        lacks = {TOKIO: NOT_TOKIO, BOOST: NOT_BOOST, ST: NOT_ST}
        contenders = programs.contenders(mode, workers, without=[name for name, modes in lacks.items() if mode in modes])
        # The fan-out's work divides among the workers; nothing else does.
        contenders[FLOOR] = programs.floor(floor, factor if factor else 1 / workers)
        if mode == "fanout" and workers == 1:
            goal = AHEAD  # the task itself is nearly all of it
        yield Series([Row(f"{mode}/{workers}", f"{title}, {many(workers)}", "ns", goal=goal)], contenders)


def blocking_series(programs, workers):
    """No peer says beforehand that a call may block: a goal of its own."""
    goal = (("<=", BLOCKING_NS_GOAL, None),)
    title = f"blocking call announced, returns at once, {many(workers)}"
    return Series([Row(f"blocking/{workers}", title, "ns", goal=goal)],
                  {OURS: programs.contenders("blocking", workers)[OURS]})


def parked_series(programs, workers):
    for mode, count, name in PARKED:
        contenders = programs.contenders(mode, workers)
        contenders[FLOOR] = lambda count=count: figures_of([f"{programs.floors}/floor_switch", "park", str(count)])
        goal = (("<=", PARKED_BYTES_GOAL, None),) if mode == "park1m" else ()
        yield Series([
            Row(f"{mode}/bytes/{workers}", f"bytes a parked fiber at {name}, {many(workers)}", "B", "bytes", goal),
            Row(f"{mode}/time/{workers}", f"spawn + park at {name}, {many(workers)}", "ns", "time", FRESH),
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
    if ST in programs.peers and workers == 1:
        contenders[ST] = of([programs.peers[ST], "echo"])
    contenders[FLOOR] = of([f"{programs.floors}/floor_echo", "epoll"])
    contenders[URING] = of([f"{programs.floors}/floor_echo", "uring"])
    goal = (("<=", 1.05, FLOOR),) + AHEAD_OF_BOTH if workers == 1 else AHEAD_OF_BOTH
    plural = "connection" if connections == 1 else "connections"
    return Series([Row(f"echo/{connections}/{workers}", f"TCP echo, server CPU a round trip, {connections} {plural}, {many(workers)}",
                       "ns", "echo_server_cpu", goal)], contenders)


def all_series(programs):
    found = [s for workers in (1, 2) for s in question_series(programs, workers)]
    found += [blocking_series(programs, workers) for workers in (1, 2)]
    found += [s for workers in (1, 2) for s in parked_series(programs, workers)]
    return found + [echo_series(programs, connections, workers) for connections, workers in ECHO]
