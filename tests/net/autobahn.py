#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""autobahn.py - runs the cases of the Autobahn test suite against a WebSocket echo server.

    tests/net/autobahn.py SUITE ws://127.0.0.1:PORT/ [CASE ...]

SUITE is the folder that holds the suite's package, as from
    python3 -m pip install --no-deps --target SUITE autobahntestsuite==25.10.1
CASE is an id or the start of one ("6.", "7.1.3"); default: chapters 1 to 7 and 10.

The suite's cases and its judgement of them are used unchanged, but it is written for Python 2, and so
is the library below it. Here the cases' sources are read as they are, made Python 3 by a few textual
changes, and given a peer of our own: an asyncio client with the methods that the cases call. Bytes are
Latin-1 strings throughout, which is what a string is in Python 2.

Prints TAP, a line a case. NON-STRICT and INFORMATIONAL are the suite's words for what RFC 6455 leaves
open; they pass and are counted. Exit status 1 where a case failed, 77 where SUITE is not there.
"""
import asyncio
import base64
import builtins
import hashlib
import os
import re
import struct
import sys
import types
from urllib.parse import urlsplit

PARALLEL = 16   # cases at a time; each has its own connection, most only wait
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WebSocketProtocol:
    """What the cases import by this name: constants."""
    STATE_CLOSED, STATE_CONNECTING, STATE_CLOSING, STATE_OPEN = 0, 1, 2, 3
    CLOSE_STATUS_CODE_NORMAL = 1000
    CLOSE_STATUS_CODE_GOING_AWAY = 1001
    CLOSE_STATUS_CODE_PROTOCOL_ERROR = 1002
    CLOSE_STATUS_CODE_INVALID_PAYLOAD = 1007


class Utf8Validator:
    """(valid so far, ends at a character) of what was fed, as the suite builds its tables with it."""

    def reset(self):
        self.data = b""

    def validate(self, text):
        self.data += text.encode("latin-1")
        try:
            self.data.decode("utf-8")
            return (True, True)
        except UnicodeDecodeError as e:
            return (e.reason == "unexpected end of data", False)


# ---- the suite's sources ----

def modern(source):
    source = re.sub(r"^(\s*)print (.*)$", r"\1print(\2)", source, flags=re.M)
    source = re.sub(r"^(\s*)print$", r"\1print()", source, flags=re.M)
    source = source.replace("(object, Case, )", "(Case, )")
    source = source.replace(".tostring()", ".tobytes().decode('latin-1')")
    return source.replace("len(self.payload) / self", "len(self.payload) // self")


def load_cases(folder):
    """The suite's list Cases and its class Case, from sources that know each other as plain modules."""
    def module(name, **names):
        m = types.ModuleType(name)
        m.__dict__.update(names)
        sys.modules[name] = m
        return m

    module("autobahn")
    module("autobahn.websocket")
    module("autobahn.websocket.protocol", WebSocketProtocol=WebSocketProtocol)
    module("autobahn.websocket.utf8validator", Utf8Validator=Utf8Validator)
    module("binascii", b2a_hex=lambda s: s.encode("latin-1").hex())
    builtins.xrange, builtins.unichr = range, chr

    names = [n[:-3] for n in os.listdir(folder) if re.match(r"case\d.*\.py$", n)]
    wanted = [n for n in names if re.match(r"case([1-7]|10)_", n)]
    module("case")
    run_source(folder, "case", sys.modules["case"])
    case = sys.modules["case"].Case
    case.compare = lambda self, a, b: a == b     # equality, not equal pickles
    classes = {}
    pending = sorted(wanted)
    while pending:      # a case may derive from one that is not loaded yet: then later
        later = []
        for name in pending:
            m = types.ModuleType(name)
            sys.modules[name] = m
            try:
                run_source(folder, name, m)
            except ImportError:
                del sys.modules[name]
                later.append(name)
                continue
            for value in vars(m).values():
                for c in value if isinstance(value, list) else [value]:
                    if isinstance(c, type) and issubclass(c, case) and re.match(r"Case\d", c.__name__):
                        classes[c.__name__[4:].replace("_", ".")] = c
        if len(later) == len(pending):
            raise ImportError("cannot load " + ", ".join(later))
        pending = later
    del sys.modules["binascii"]
    return case, classes


def run_source(folder, name, module):
    path = os.path.join(folder, name + ".py")
    with open(path, encoding="latin-1", newline="") as f:
        source = f.read()
    source = re.sub(r"^#.*coding.*$", "", source.replace("\r\n", "\n"), flags=re.M)
    exec(compile(modern(source), path, "exec"), module.__dict__)


# ---- the peer ----

def frame_head(opcode, fin, rsv, size):
    first = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size < 126:
        return first + bytes([0x80 | size])
    if size < 65536:
        return first + b"\xfe" + struct.pack(">H", size)
    return first + b"\xff" + struct.pack(">Q", size)


def masked(data, mask):
    n = len(data)
    keys = int.from_bytes((mask * (n // 4 + 1))[:n], "big")
    return (int.from_bytes(data, "big") ^ keys).to_bytes(n, "big")


class Factory:
    isServer = False


class Peer(asyncio.Protocol):
    """A WebSocket client that does what a case says, right or wrong, and notes what comes back."""
    factory = Factory()
    CLOSE_STATUS_CODE_NORMAL = WebSocketProtocol.CLOSE_STATUS_CODE_NORMAL
    CLOSE_STATUS_CODE_PROTOCOL_ERROR = WebSocketProtocol.CLOSE_STATUS_CODE_PROTOCOL_ERROR
    CLOSE_STATUS_CODE_INVALID_PAYLOAD = WebSocketProtocol.CLOSE_STATUS_CODE_INVALID_PAYLOAD

    def __init__(self, case_class, host, path):
        self.host, self.path = host, path
        self.state = WebSocketProtocol.STATE_CONNECTING
        self.connectionWasOpen = self.wasClean = False
        self.closedByMe = self.failedByMe = self.droppedByMe = False
        self.localCloseCode = self.localCloseReason = None
        self.remoteCloseCode = self.remoteCloseReason = None
        self.autoFragmentSize = 0
        self.createWirelog = False
        self.txFrameStats = {}
        self.buffer = b""
        self.message, self.message_opcode = "", None
        self.timers, self.drop_timer = [], None
        self.loop = asyncio.get_running_loop()
        self.lost = self.loop.create_future()
        self.case = case_class(self)

    # what the transport tells

    def connection_made(self, transport):
        self.transport = transport
        self.key = base64.b64encode(os.urandom(16)).decode()
        transport.write((f"GET {self.path} HTTP/1.1\r\nHost: {self.host}\r\nUpgrade: websocket\r\n"
                         f"Connection: Upgrade\r\nSec-WebSocket-Key: {self.key}\r\n"
                         "Sec-WebSocket-Version: 13\r\n\r\n").encode())

    def data_received(self, data):
        self.buffer += data
        if self.state == WebSocketProtocol.STATE_CONNECTING:
            head, mark, rest = self.buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            want = base64.b64encode(hashlib.sha1((self.key + GUID).encode()).digest())
            if not head.startswith(b"HTTP/1.1 101") or b"Sec-WebSocket-Accept: " + want not in head:
                self.transport.abort()
                return
            self.buffer = rest
            self.state = WebSocketProtocol.STATE_OPEN
            self.connectionWasOpen = True
            self.case.onOpen()
        while self.state != WebSocketProtocol.STATE_CLOSED and self.take_frame():
            pass

    def connection_lost(self, error):
        for t in self.timers:
            t.cancel()
        self.state = WebSocketProtocol.STATE_CLOSED
        self.case.onConnectionLost(self.failedByMe)
        self.lost.set_result(None)

    # receiving

    def take_frame(self):
        b = self.buffer
        if len(b) < 2:
            return False
        size, at = b[1] & 0x7f, 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            if len(b) < 2 + wide:
                return False
            size, at = int.from_bytes(b[2:2 + wide], "big"), 2 + wide
        if b[0] & 0x70 or b[1] & 0x80:      # reserved bits, or masked by a server
            self.failConnection(1002)
        if len(b) < at + size:
            return False
        payload, self.buffer = b[at:at + size].decode("latin-1"), b[at + size:]
        self.on_frame(b[0] & 0x0f, bool(b[0] & 0x80), payload)
        return True

    def on_frame(self, opcode, fin, payload):
        if opcode == 8:
            self.on_close(payload)
        elif opcode == 9:
            self.sendFrame(opcode=10, payload=payload)
            self.case.onPing(payload)
        elif opcode == 10:
            self.case.onPong(payload)
        elif (opcode == 0) == (self.message_opcode is None) or opcode > 2:
            self.failConnection(1002)
        else:
            if opcode:
                self.message, self.message_opcode = "", opcode
            self.message += payload
            if fin:
                opcode, self.message_opcode = self.message_opcode, None
                self.case.onMessage(self.message, opcode == 2)

    def on_close(self, payload):
        if len(payload) >= 2:
            self.remoteCloseCode = struct.unpack(">H", payload[:2].encode("latin-1"))[0]
            self.remoteCloseReason = payload[2:]
        self.wasClean = len(payload) != 1
        if self.state == WebSocketProtocol.STATE_OPEN:
            self.sendCloseFrame(1000, isReply=True)
        self.drop_in(1)     # it is for the server to close first

    # what the cases call

    def sendFrame(self, opcode, payload="", fin=True, rsv=0, mask=None, payload_len=None,
                  chopsize=None, sync=False):
        if self.state == WebSocketProtocol.STATE_CLOSED:
            return
        if payload_len is not None:
            payload = (payload * (payload_len // len(payload) + 1))[:payload_len]
        self.txFrameStats[opcode] = self.txFrameStats.get(opcode, 0) + 1
        data = payload.encode("latin-1")
        mask = mask.encode("latin-1") if mask else os.urandom(4)
        frame = frame_head(opcode, fin, rsv, len(data)) + mask + masked(data, mask)
        step = chopsize or len(frame)
        for at in range(0, len(frame), step):
            self.transport.write(frame[at:at + step])

    def beginMessage(self, isBinary=False):
        self.stream_opcode = 2 if isBinary else 1

    def beginMessageFrame(self, length):
        self.stream_mask = os.urandom(4)
        self.transport.write(frame_head(self.stream_opcode, False, 0, length) + self.stream_mask)
        self.stream_opcode = 0

    def sendMessageFrameData(self, payload, sync=False):
        self.transport.write(masked(payload.encode("latin-1"), self.stream_mask))
        turn = len(payload) % 4
        self.stream_mask = self.stream_mask[turn:] + self.stream_mask[:turn]

    def endMessage(self):
        self.sendFrame(opcode=0)

    def sendMessage(self, payload, isBinary=False, fragmentSize=None, sync=False, doNotCompress=False):
        if self.state != WebSocketProtocol.STATE_OPEN:
            return
        step = fragmentSize or self.autoFragmentSize or len(payload) or 1
        opcode = 2 if isBinary else 1
        for at in range(0, max(len(payload), 1), step):
            self.sendFrame(opcode, payload[at:at + step], fin=at + step >= len(payload))
            opcode = 0

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        if self.state != WebSocketProtocol.STATE_OPEN:
            return
        payload = struct.pack(">H", code).decode("latin-1") if code is not None else ""
        self.sendFrame(opcode=8, payload=payload + (reasonUtf8 or ""))
        self.state = WebSocketProtocol.STATE_CLOSING
        self.closedByMe = not isReply
        self.localCloseCode, self.localCloseReason = code, reasonUtf8
        if not isReply:
            self.drop_in(1)

    def sendClose(self, code=None, reason=None):
        self.sendCloseFrame(code, reason)

    def failConnection(self, code=1001):
        if self.state == WebSocketProtocol.STATE_OPEN:
            self.failedByMe = True
            self.sendCloseFrame(code, "Going Away")

    def later(self, delay, fn):
        timer = self.loop.call_later(delay, fn)
        self.timers.append(timer)
        return timer

    def drop_in(self, delay):
        """Gives up on the peer after so long; starts anew with every step of the close handshake."""
        def drop():
            self.wasClean = False
            self.droppedByMe = True
            self.state = WebSocketProtocol.STATE_CLOSED
            self.transport.abort()
        if self.drop_timer:
            self.drop_timer.cancel()
        self.drop_timer = self.later(delay, drop)

    def continueLater(self, delay, fn, tag=None):
        self.later(delay, fn)

    def killAfter(self, delay):
        self.later(delay, self.failConnection)

    def closeAfter(self, delay):
        self.later(delay, self.sendClose)

    def enableWirelog(self, enable):
        self.createWirelog = enable


# ---- the run ----

async def run_case(case_class, url):
    port = url.port or 80
    made = []

    def make():
        made.append(Peer(case_class, f"{url.hostname}:{port}", url.path or "/"))
        return made[0]
    try:
        await asyncio.get_running_loop().create_connection(make, url.hostname, port)
        await asyncio.wait_for(made[0].lost, 60)
    except (OSError, asyncio.TimeoutError) as e:
        made[0].case.result = repr(e)
    return made[0].case


async def run_all(wanted, url):
    gate = asyncio.Semaphore(PARALLEL)

    async def one(case_class):
        async with gate:
            return await run_case(case_class, url)
    return await asyncio.gather(*(one(c) for _, c in wanted))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.split("\n\n")[1])
    folder = os.path.join(sys.argv[1], "autobahntestsuite", "case")
    if not os.path.isdir(folder):
        print(f"1..0 # SKIP no Autobahn test suite in {sys.argv[1]}")
        sys.exit(77)
    case, classes = load_cases(folder)
    prefixes = tuple(sys.argv[3:]) or ("",)
    wanted = sorted(((i, c) for i, c in classes.items() if i.startswith(prefixes)),
                    key=lambda x: [int(n) for n in x[0].split(".")])
    results = asyncio.run(run_all(wanted, urlsplit(sys.argv[2])))
    print(f"TAP version 13\n1..{len(wanted)}")
    good = (case.OK, case.NON_STRICT, case.INFORMATIONAL)
    counts = {}
    for index, ((name, _), r) in enumerate(zip(wanted, results), 1):
        ok = r.behavior in good and r.behaviorClose in good
        word = r.behavior if ok else f"{r.behavior} / {r.behaviorClose}"
        counts[word] = counts.get(word, 0) + 1
        print(f"{'ok' if ok else 'not ok'} {index} - {name} {word}")
        if not ok:
            print(f"# {r.result} {r.resultClose}\n# received {str(r.received)[:300]}")
    print("# " + ", ".join(f"{n} {word}" for word, n in sorted(counts.items())))
    sys.exit(any(r.behavior not in good or r.behaviorClose not in good for r in results))


if __name__ == "__main__":
    main()
