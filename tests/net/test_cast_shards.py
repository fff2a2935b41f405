#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_cast_shards.py - several shards: channels whose home is elsewhere, order, completeness, recovery, API sweeps.

Clients are dealt out evenly over four shards, and so are channels by their names' hash: most of what happens here
crosses from one shard to another.
"""
import json
import os
import random

from castserver import OPEN, Server, config
from tap import case, check, check_eq, run
from wsraw import Ws, jwt, until

SEED = int(os.environ.get("WEFT_SEED", random.randrange(1 << 32)))
print(f"# seed: WEFT_SEED={SEED}")


def four():
    conf = config()
    conf["weftcast"] = {"shards": 4}
    conf["channel"]["namespaces"].append({"name": "long", "force_recovery": True, **OPEN, "history_size": 5000,
                                          "history_ttl": "300s", "allow_history_for_client": True,
                                          "allow_history_for_anonymous": True})
    return conf


def clients(s, n):
    made = [Ws(s) for _ in range(n)]
    for c in made:
        c.connect()
    return made


@case
def every_subscriber_gets_everything_in_order():
    rnd = random.Random(SEED)
    channels = [f"long:{i}" for i in range(8)]
    with Server(four()) as s:
        readers, writers = clients(s, 12), clients(s, 6)
        for c in readers:
            for i, ch in enumerate(channels):
                check_eq(c.ask(10 + i, "subscribe", channel=ch)["positioned"], True, ch)
        for w, c in enumerate(writers):
            c.ask(10, "subscribe", channel=channels[w])    # so that own pushes can be told from others
        sent = {ch: [] for ch in channels}
        for at in range(300):
            for w, c in enumerate(writers):
                ch = rnd.choice(channels)
                c.send({"id": 1000 + at, "publish": {"channel": ch, "data": [w, at]}})
                sent[ch].append((w, at))
        for c in readers:
            seen = {ch: [] for ch in channels}
            for _ in range(300 * len(writers)):
                push = c.line()["push"]
                seen[push["channel"]].append(tuple(push["pub"]["data"]))
                check_eq(push["pub"]["offset"], len(seen[push["channel"]]), "offsets without gap or repetition")
            for ch in channels:
                check_eq(sorted(seen[ch]), sorted(sent[ch]), ch)
                for w in range(len(writers)):
                    one = [at for who, at in seen[ch] if who == w]
                    check_eq(one, sorted(one), "one writer's order")
        for w, c in enumerate(writers):
            replies, own = 0, set()
            while replies < 300:
                got = c.line()
                if "push" in got:
                    own.add(tuple(got["push"]["pub"]["data"]))
                    continue
                check_eq(got, {"id": 1000 + replies, "publish": {}}, "replies in order")
                if (w, replies) in sent[channels[w]]:
                    check((w, replies) in own, "own push before its reply")
                replies += 1


@case
def subscribing_in_the_middle_misses_nothing():
    with Server(four()) as s:
        writer, = clients(s, 1)
        for i in range(40):
            late, = clients(s, 1)
            ch = f"long:{i}"
            n = 30
            writer.send(*[{"id": k + 1, "publish": {"channel": ch, "data": k + 1}} for k in range(n)])
            got = late.ask(2, "subscribe", channel=ch, recover=True, epoch="")
            check_eq(got["recovered"], True, "recovered")
            offsets = [p["offset"] for p in got.get("publications", [])]
            while len(offsets) < n:
                offsets.append(late.line()["push"]["pub"]["offset"])
            check_eq(offsets, list(range(1, n + 1)), "history and pushes join without gap or repetition")
            for k in range(n):
                check_eq(writer.line()["id"], k + 1, "reply")
            late.sock.close()


@case
def churn_of_subscriptions():
    rnd = random.Random(SEED)
    with Server(four()) as s:
        many = clients(s, 8)
        on = [set() for _ in many]
        for step in range(1500):
            i, ch = rnd.randrange(len(many)), f"c{rnd.randrange(10)}"
            if ch in on[i]:
                check_eq(many[i].ask(step + 2, "unsubscribe", channel=ch), {}, "unsubscribe")
                on[i].discard(ch)
            else:
                check_eq(many[i].ask(step + 2, "subscribe", channel=ch), {}, "subscribe")
                on[i].add(ch)
        want = {}
        for mine in on:
            for ch in mine:
                want[ch] = {"num_clients": want.get(ch, {"num_clients": 0})["num_clients"] + 1}
        check_eq(json.loads(s.api("channels", {})[1])["result"]["channels"], want, "counts")
        for c in many:
            c.sock.close()
        until("all counts back at nothing", lambda: json.loads(s.api("channels", {})[1])["result"]["channels"] == {})
        text = s.http("/metrics")[2]
        check("\nweftcast_topics 0\n" in text, "no channel is left in memory")


def node(s):
    return json.loads(s.api("info", {})[1])["result"]["nodes"][0]


@case
def info_has_the_numbers_of_the_last_interval():
    with Server(four()) as s:
        metrics = node(s)["metrics"]
        check_eq(metrics["interval"], 60, "the default, from the start on")
        check_eq(metrics["items"]["centrifugo.node.num_clients"], 0, "nothing has happened")
        check_eq(metrics["items"]["centrifugo.node.messages_received_count.type.publication"], 0, "nothing has happened")
        check(all(name.startswith("centrifugo.") for name in metrics["items"]), "only Centrifugo's own names")
    conf = four()
    conf["node"] = {"info_metrics_aggregate_interval": "100ms"}
    with Server(conf) as s, Ws(s) as c:
        c.connect()

        def item(name):
            return node(s)["metrics"]["items"].get(f"centrifugo.{name}")
        until("a gauge is as it is", lambda: item("node.num_clients") == 1)
        until("a counter is of one interval", lambda: item("client.connections_accepted.transport.websocket") == 0)

        def published():
            s.api("publish", {"channel": "ch", "data": {}})
            return item("node.messages_received_count.type.publication") > 0
        until("publications count", published)
        until("and only in their interval", lambda: item("node.messages_received_count.type.publication") == 0)
        s.api("disconnect", {"user": ""})
        until("ends by code appear", lambda: item("client.num_server_disconnects.code.3503") is not None)
        check_eq(node(s)["metrics"]["interval"], 0.1, "interval")


@case
def requests_about_a_user_reach_all_shards():
    with Server(four()) as s:
        many = [Ws(s) for _ in range(8)]
        for c in many:
            c.connect(token=jwt(sub="7"))
        info = json.loads(s.api("info", {})[1])["result"]["nodes"][0]
        check_eq(info["num_clients"], 8, "clients")
        s.api("subscribe", {"user": "7", "channel": "hist:srv"})
        for c in many:
            check_eq(c.line()["push"]["subscribe"]["positioned"], True, "subscribed")
        s.api("publish", {"channel": "hist:srv", "data": {"x": 1}})
        for c in many:
            check_eq(c.line()["push"]["pub"]["offset"], 1, "published")
        s.api("refresh", {"user": "7", "expire_at": 1999999999})
        for c in many:
            check_eq(c.line()["push"]["refresh"]["expires"], True, "refreshed")
        s.api("unsubscribe", {"user": "7", "channel": "hist:srv"})
        for c in many:
            check_eq(c.line()["push"]["unsubscribe"]["code"], 2000, "unsubscribed")
        s.api("disconnect", {"user": "7", "disconnect": {"code": 4123, "reason": "custom"}})
        for c in many:
            check_eq(c.closed(), (4123, "custom"), "disconnected")


@case
def broadcast_and_batch_over_many_homes():
    with Server(four()) as s, Ws(s) as c:
        c.connect()
        names = [f"hist:{i}" for i in range(40)]
        for i, ch in enumerate(names):
            c.ask(i + 2, "subscribe", channel=ch)
        got = json.loads(s.api("broadcast", {"channels": names + ["nons:x"], "data": {"b": 1}})[1])["result"]["responses"]
        check_eq([r["result"]["offset"] for r in got[:-1]], [1] * 40, "results in order")
        check_eq(got[-1]["error"]["code"], 102, "and the error in its place")
        check_eq(sorted(c.line()["push"]["channel"] for _ in names), sorted(names), "pushes")
        commands = [{"history": {"channel": ch, "limit": 1}} for ch in names]
        got = json.loads(s.api("batch", {"commands": commands})[1])["replies"]
        check_eq([r["history"]["offset"] for r in got], [1] * 40, "replies in order")


run()
