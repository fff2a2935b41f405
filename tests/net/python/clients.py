# SPDX-License-Identifier: Apache-2.0
"""clients.py - the Python package `centrifuge-python` (its own code base, over `websockets`) as weftcast's client.

    python clients.py HOST:PORT API_KEY HMAC_SECRET [CASE ...]      prints TAP
"""
import asyncio
import base64
import hashlib
import hmac
import json
import sys
import traceback
import urllib.request

from centrifuge import CentrifugeError, Client, ClientEventHandler, StreamPosition, SubscriptionEventHandler

HOST, API_KEY, SECRET = sys.argv[1:4]
LIMIT_S = 8
CASES = []
CLIENTS = []


def case(fn):
    CASES.append(fn)
    return fn


def recorder(base):
    """A handler whose every event is put into a queue as (name, context)."""
    class Recorder(base):
        def __init__(self):
            self.events = asyncio.Queue()

        async def next(self, name):
            while True:
                got, ctx = await asyncio.wait_for(self.events.get(), LIMIT_S)
                if got == name:
                    return ctx

    def record(name):
        async def handler(self, ctx):
            self.events.put_nowait((name, ctx))
        return handler

    for name in dir(base):
        if name.startswith("on_"):
            setattr(Recorder, name, record(name[3:]))
    return Recorder


ClientEvents, SubEvents = recorder(ClientEventHandler), recorder(SubscriptionEventHandler)


def jwt(**claims):
    def part(v):
        return base64.urlsafe_b64encode(json.dumps(v).encode()).rstrip(b"=").decode()
    head = part({"alg": "HS256", "typ": "JWT"}) + "." + part(claims)
    mac = hmac.new(SECRET.encode(), head.encode(), hashlib.sha256).digest()
    return head + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


async def api(method, **body):
    def call():
        request = urllib.request.Request(f"http://{HOST}/api/{method}", json.dumps(body).encode(), {"X-API-Key": API_KEY})
        return json.loads(urllib.request.urlopen(request, timeout=LIMIT_S).read())
    answer = await asyncio.get_running_loop().run_in_executor(None, call)
    assert "error" not in answer, answer
    return answer["result"]


async def connected(**options):
    events = ClientEvents()
    client = Client(f"ws://{HOST}/connection/websocket", events=events, timeout=LIMIT_S, proxy=None, **options)
    CLIENTS.append(client)
    await client.connect()
    await events.next("connected")
    return client, events


async def subscribed(client, channel, **options):
    events = SubEvents()
    sub = client.new_subscription(channel, events=events, **options)
    await sub.subscribe()
    return sub, events, await events.next("subscribed")


@case
async def publish_and_receive():
    client, _ = await connected()
    sub, events, _ = await subscribed(client, "py-own")
    await sub.publish({"text": "hellö"})
    assert (await events.next("publication")).pub.data == {"text": "hellö"}
    await api("publish", channel="py-own", data=[1, None])
    assert (await events.next("publication")).pub.data == [1, None]


@case
async def presence_join_leave():
    a, _ = await connected(token=jwt(sub="a", info={"n": 1}))
    sub_a, events, _ = await subscribed(a, "pres:py", join_leave=True)
    b, _ = await connected(token=jwt(sub="b"))
    sub_b, _, _ = await subscribed(b, "pres:py")
    while (await events.next("join")).info.user != "b":
        pass
    result = await sub_a.presence()
    assert sorted(i.user for i in result.clients.values()) == ["a", "b"], result
    stats = await sub_a.presence_stats()
    assert (stats.num_clients, stats.num_users) == (2, 2), stats
    await sub_b.unsubscribe()
    assert (await events.next("leave")).info.user == "b"


@case
async def history():
    client, _ = await connected()
    sub, _, ctx = await subscribed(client, "hist:py")
    assert ctx.recoverable and ctx.positioned and ctx.stream_position.epoch
    for i in range(1, 4):
        await sub.publish(i)
    result = await sub.history(limit=10)
    assert [(p.offset, p.data) for p in result.publications] == [(1, 1), (2, 2), (3, 3)], result
    result = await sub.history(limit=10, since=StreamPosition(1, result.epoch))
    assert [p.offset for p in result.publications] == [2, 3], result


@case
async def errors():
    client, _ = await connected()
    for channel, code in (("deny:py", 103), ("nons:py", 102)):
        try:
            await client.publish(channel, {})
            raise AssertionError(f"publishing to {channel} passed")
        except CentrifugeError as e:
            assert getattr(e, "code", None) == code, e


@case
async def server_side_subscription():
    client, events = await connected(token=jwt(sub="61", channels=["py-srv"]))
    await api("publish", channel="py-srv", data={"z": 1})
    ctx = await events.next("publication")
    assert (ctx.channel, ctx.pub.data) == ("py-srv", {"z": 1})


@case
async def disconnected_by_the_server():
    _, events = await connected(token=jwt(sub="62"))
    await api("disconnect", user="62")
    ctx = await events.next("disconnected")
    assert (ctx.code, ctx.reason) == (3503, "force disconnect"), ctx


@case
async def reconnects_and_recovers():
    client, events = await connected(token=jwt(sub="63"), min_reconnect_delay=0.3, max_reconnect_delay=0.4)
    _, sub_events, _ = await subscribed(client, "hist:py-cut")
    await api("publish", channel="hist:py-cut", data=1)
    await sub_events.next("publication")
    await api("disconnect", user="63", disconnect={"code": 4001, "reason": "back"})
    await events.next("connecting")
    for i in (2, 3):
        await api("publish", channel="hist:py-cut", data=i)
    ctx = await sub_events.next("subscribed")
    assert ctx.was_recovering and ctx.recovered, ctx
    for i in (2, 3):
        assert (await sub_events.next("publication")).pub.data == i


async def main():
    wanted = sys.argv[4:]
    cases = [c for c in CASES if not wanted or c.__name__ in wanted]
    failed = 0
    print(f"TAP version 13\n1..{len(cases)}", flush=True)
    for number, fn in enumerate(cases, 1):
        try:
            await asyncio.wait_for(fn(), 60)
            print(f"ok {number} - {fn.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {number} - {fn.__name__}", *traceback.format_exc().split("\n"), sep="\n# ", flush=True)
        for client in CLIENTS:
            await client.disconnect()
        CLIENTS.clear()
    return 1 if failed else 0


sys.exit(asyncio.run(main()))
