# SPDX-License-Identifier: Apache-2.0
"""castrows.py - weftcast's rows: one server on one processor, the load generator on another, open loop.

How many deliveries a second a server stands is searched: the rate of messages is doubled until the P99 passes the
limit (or a message or client is lost), then the gap is halved, geometrically, until it is narrow. Each try has a
fresh server; a try that fails is made once more, for a single stall of the machine would end the search, and a rate
holds if one of the two held. All tries of all rounds are kept in the row's `details`.

The limits: first the bare loop is searched at FLOOR_LIMIT_MS (or, where its P99 at the lowest rate is above that
already, at 1.5 times that). The P99 that it had at its highest rate, times 1.5, is the limit of the others in this
round. And LOOSE_LIMIT_MS for the servers, since the Go library holds the first at no rate on some machines.

Where the generator itself was late by more than half of the P99, the sample says `generator_bound`: its processor was
full, and the server may well hold more."""
import json
import math
import os
import tempfile

from driver.machine import processors
from driver.peers import CENTRIFUGE
from driver.process import Failed, Server, figures_of, free_port, output_of
from driver.series import FLOOR, OURS, Row, Series

SUBSCRIBERS, PAYLOAD_BYTES = 1000, 128
# What one message is on the wire: the payload in its push, in a WebSocket frame. The bare loop sends as many bytes.
PUSH_BYTES = PAYLOAD_BYTES + len('{"push":{"channel":"bench","pub":{"data":}}}') + 4
FLOOR_LIMIT_MS, FLOOR_SHARE, LOOSE_LIMIT_MS = 10.0, 1.5, 50.0
WHOLE = 0.95  # of what was to be delivered in the measured time; a server that is late shows in the P99
LOWEST, HIGHEST = 125.0, 64000.0  # messages a second
DELAYED = CENTRIFUGE + " 5 ms"  # the same library, which collects messages for 5 ms before each write
LIBRARY = (CENTRIFUGE, DELAYED)

CONFIG = {
    "http_server": {"address": "127.0.0.1"},
    "client": {"allow_anonymous_connect_without_token": True},
    "channel": {"without_namespace": {
        "allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True,
        "allow_publish_for_client": True, "allow_publish_for_anonymous": True}},
    "log": {"level": "error"},
}


def why_not(sample):
    if sample.get("problem"):
        return sample["problem"]
    return f"{sample['deliveries_per_s']:.0f} deliveries a second, {sample['lost']:.0f} lost, {sample['gone']} clients gone"


class Search:
    """One contender's highest rates in one round; `try_rate` returns a sample."""

    def __init__(self, try_rate, narrow, record):
        self.try_rate, self.narrow, self.record = try_rate, narrow, record
        self.tries = {}

    def holds(self, rate, limit_ms):
        """The sample with which a rate holds the limit, or None."""
        tries = self.tries.setdefault(rate, [])
        while True:
            for sample in tries:
                if sample["whole"] and sample["p99_ms"] <= limit_ms:
                    return sample
            if len(tries) == 2:
                return None
            tries.append(self.try_rate(rate))
            self.record(tries[-1])

    def highest(self, limit_ms, start):
        """The sample of the highest rate that holds, or None."""
        rate, best, too_much = start, None, None
        while LOWEST <= rate <= HIGHEST:
            sample = self.holds(rate, limit_ms)
            if sample:
                best = sample
                if too_much:
                    break
                rate *= 2
            else:
                too_much = rate
                if best:
                    break
                rate /= 2
        while best and too_much and too_much / best["rate"] > self.narrow:
            rate = round(math.sqrt(too_much * best["rate"]), 1)
            sample = self.holds(rate, limit_ms)
            best, too_much = (sample, too_much) if sample else (best, rate)
        return best


class Cast:
    """The servers, the generator, and what a round has learnt for those after it."""

    def __init__(self, build, peers, seconds, narrow, idle_clients):
        cpus = processors()
        self.server_cpus, self.load_cpus = {cpus[0]}, {cpus[-1]}
        self.weftcast, self.floor_program = f"{build}/cast/weftcast", f"{build}/bench/floor/floor_broadcast"
        self.peers, self.seconds, self.narrow, self.idle_clients = peers, seconds, narrow, idle_clients
        self.limit_ms = None
        self.last = {}  # (contender, limit): the rate of the round before
        self.details = []
        self.folder = tempfile.TemporaryDirectory(prefix="weft-bench-")
        self.config = os.path.join(self.folder.name, "weftcast.json")
        with open(self.config, "w", encoding="utf-8") as f:
            json.dump(CONFIG, f)

    def server(self, name):
        if name == OURS:
            port = free_port()
            return Server([self.weftcast, "--config", self.config, "--http_server.port", str(port)], self.server_cpus, port=port)
        delay = ["-write-delay", "5ms"] if name == DELAYED else []
        return Server([self.peers[CENTRIFUGE], *delay], self.server_cpus)

    def load(self, server, *arguments):
        """The generator's report. A generator that has not ended after five times what it should take is stopped."""
        command = [self.weftcast, "bench", *arguments, "--url", f"ws://127.0.0.1:{server.port}/connection/websocket",
                   "--pid", str(server.pid), "--json", "--quiet"]
        return json.loads(output_of(command, self.load_cpus, timeout_s=20 + 5 * (1 + self.seconds)))

    def try_server(self, name, rate):
        sample = {"contender": name, "rate": rate, "whole": False, "p99_ms": math.inf}
        try:
            with self.server(name) as server:
                r = self.load(server, "fanout", "--clients", str(SUBSCRIBERS), "--payload", str(PAYLOAD_BYTES), "--rate", f"{rate:g}",
                              "--warmup", "1", "--duration", str(self.seconds))
        except Failed as e:
            return {**sample, "p99_ms": None, "problem": str(e)}
        whole = (r["ready"] == SUBSCRIBERS and not (r["failed"] or r["gone"] or r["lost"] or r["problem"])
                 and r["deliveries_per_s"] >= WHOLE * rate * SUBSCRIBERS)
        return {**sample, "whole": whole, "p99_ms": r["latency"]["p99_ms"], "p50_ms": r["latency"]["p50_ms"],
                "deliveries_per_s": r["deliveries_per_s"], "cores": r["server_cpu_cores"], "lost": r["lost"], "gone": r["gone"],
                "generator_late_p99_ms": r["generator_late"]["p99_ms"],
                "generator_bound": r["generator_late"]["p99_ms"] > r["latency"]["p99_ms"] / 2, "problem": r["problem"]}

    def try_floor(self, rate):
        sample = {"contender": FLOOR, "rate": rate, "whole": False, "p99_ms": math.inf}
        try:  # it pins its two processes itself
            r = figures_of([self.floor_program, "--subs", str(SUBSCRIBERS), "--bytes", str(PUSH_BYTES), "--rate", f"{rate:g}",
                            "--seconds", str(self.seconds)], timeout_s=20 + 5 * (1 + self.seconds))
        except Failed as e:
            return {**sample, "p99_ms": None, "problem": str(e)}
        whole = r["broadcast_lost"] == 0 and r["broadcast_dead"] == 0 and r["broadcast_deliveries"] >= WHOLE * rate * SUBSCRIBERS
        return {**sample, "whole": whole, "p99_ms": r["broadcast_p99"] / 1e3, "p50_ms": r["broadcast_p50"] / 1e3,
                "deliveries_per_s": r["broadcast_deliveries"], "cores": r["broadcast_server_cores"],
                "lost": r["broadcast_lost"], "gone": int(r["broadcast_dead"]),
                "send_ns": r["broadcast_send_cost"], "messages_a_send": r["broadcast_messages_a_send"],
                "receiver_cores": r["broadcast_receiver_cores"]}

    def attempt(self, name, rate):
        return self.try_floor(rate) if name == FLOOR else self.try_server(name, rate)

    def highest(self, search, name, limit_ms, what):
        """Searches from half of what the last round found."""
        start = self.last.get((name, what), 1000) / 2
        best = search.highest(limit_ms, min(max(start, LOWEST), HIGHEST))
        if best:
            self.last[name, what] = best["rate"]
        return best

    def set_limit(self, search):
        """The bare loop's turn: its best rate, and from its P99 there the limit for all others."""
        at_rest = search.holds(250.0, math.inf)
        if not at_rest:
            raise Failed("the bare loop does not even hold 250 messages a second")
        own = FLOOR_LIMIT_MS if at_rest["p99_ms"] < FLOOR_LIMIT_MS else FLOOR_SHARE * at_rest["p99_ms"]
        best = self.highest(search, FLOOR, own, "tight") or at_rest
        self.limit_ms = FLOOR_SHARE * best["p99_ms"]
        return best

    def rates(self, name):
        """One contender's turn in a round of the search."""
        def ask():
            search = Search(lambda rate: self.attempt(name, rate), self.narrow, self.details.append)
            if name == FLOOR:
                tight = self.set_limit(search)
            elif self.limit_ms is None:
                raise Failed("without the bare loop there is no limit")
            else:
                tight = self.highest(search, name, self.limit_ms, "tight")
            found = {"tight": (tight["deliveries_per_s"] if tight else 0) / 1e6}
            if tight:
                found.update(tight_p99=tight["p99_ms"], tight_cores=tight["cores"])
            if name == FLOOR:
                found["send_ns"] = tight["send_ns"]
            else:
                loose = self.highest(search, name, LOOSE_LIMIT_MS, "loose")
                found["loose"] = (loose["deliveries_per_s"] if loose else 0) / 1e6
            return found
        return ask

    def at_load(self, name, rate):
        """A rate that is given: what it costs, and the latency."""
        def ask():
            sample = self.attempt(name, rate)
            self.details.append(sample)
            if not sample["whole"]:
                raise Failed(f"{rate:g} messages a second were not held: {why_not(sample)}")
            return {"cores": sample["cores"], "p99": sample["p99_ms"], **({"send_ns": sample["send_ns"]} if "send_ns" in sample else {})}
        return ask

    def idle(self, name):
        def ask():
            with self.server(name) as server:
                r = self.load(server, "idle", "--clients", str(self.idle_clients), "--duration", "2")
            if r["problem"] or r["ready"] != self.idle_clients:
                raise Failed(r["problem"] or f"{r['ready']} of {self.idle_clients} connections")
            return {"rss": r["server_rss_bytes_per_client"], "setup": r["server_setup_cpu_s"] * 1e6 / self.idle_clients}
        return ask

    def contenders(self, ask, floor=True, library=True):
        names = [OURS] + [n for n in LIBRARY if library and CENTRIFUGE in self.peers] + ([FLOOR] if floor else [])
        return {name: ask(name) for name in names}


def row(key, title, unit, figure, goal=(), more=False):
    return Row("cast/" + key, title, unit, figure, goal, more, "weftcast")


def all_series(cast):
    to_1000 = f"to {SUBSCRIBERS} subscribers, {PAYLOAD_BYTES} B"
    tight = ((">=", 0.5, FLOOR), (">=", 1, None), (">=", 5, LIBRARY))
    search = Series([
        row("rate", f"deliveries {to_1000}, at P99 <= 1.5 x the bare loop's", "M/s", "tight", tight, True),
        row("rate/p99", "P99 there", "ms", "tight_p99"),
        row("rate/cpu", "server CPU there", "cores", "tight_cores"),
        row("rate/send", "what one send cost there", "ns", "send_ns"),
        row("rate50", f"deliveries {to_1000}, at P99 <= {LOOSE_LIMIT_MS:g} ms", "M/s", "loose", ((">=", 5, LIBRARY),), True),
    ], cast.contenders(cast.rates), first=FLOOR, notes=cast.details)
    found = [search]
    for rate, library in ((250, True), (1000, False)):
        name = f"{rate * SUBSCRIBERS / 1e6:g} M/s"
        found.append(Series([
            row(f"at{rate}/cpu", f"server CPU at {name}", "cores", "cores"),
            row(f"at{rate}/p99", f"P99 at {name}", "ms", "p99"),
            row(f"at{rate}/send", f"what one send cost at {name}", "ns", "send_ns"),
        ], cast.contenders(lambda n, rate=rate: cast.at_load(n, float(rate)), library=library)))
    found.append(Series([
        row("idle/rss", f"RSS an idle WebSocket connection, of {cast.idle_clients}", "B", "rss", (("<=", 2048, None),)),
        row("idle/connect", "server CPU to accept one and answer its connect", "us", "setup"),
    ], cast.contenders(cast.idle, floor=False)))
    return found
