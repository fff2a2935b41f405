# SPDX-License-Identifier: Apache-2.0
"""wsraw.py - a WebSocket client of a few lines over a plain socket, for tests that must misbehave.

    with Ws(server) as c:
        c.send({"id": 1, "connect": {}})
        c.line()                 # next line of the protocol, decoded; pings are answered
        c.closed()               # waits for the close frame: (code, reason)

Nothing is read but in line() and closed(), so a client that calls neither is a reader that does not read.
"""
import base64
import hashlib
import hmac
import json
import os
import socket
import struct
import time

from castserver import SECRET
from tap import Failed

LIMIT_S = 60


def jwt(**claims):
    """A token that the server under test takes."""
    def part(v):
        return base64.urlsafe_b64encode(json.dumps(v).encode()).rstrip(b"=").decode()
    head = part({"alg": "HS256", "typ": "JWT"}) + "." + part(claims)
    mac = hmac.new(SECRET.encode(), head.encode(), hashlib.sha256).digest()
    return head + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


class Ws:
    def __init__(self, server, query="", headers=None, rcvbuf=None, pong=True):
        self.pong = pong
        self.lines, self.buf, self.close = [], b"", None
        self.sock = socket.socket()
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(("127.0.0.1", server.port))
        fields = {"Host": server.host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                  "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), **(headers or {})}
        head = f"GET /connection/websocket{query} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
        self.sock.sendall(head.encode() + b"\r\n")
        while b"\r\n\r\n" not in self.buf:
            self.fill()
        answer, self.buf = self.buf.split(b"\r\n\r\n", 1)
        self.status = int(answer.split(b" ")[1])
        self.answer = answer.decode()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.sock.close()

    def fill(self):
        got = self.sock.recv(1 << 16)
        if not got:
            raise EOFError("the server closed the connection")
        self.buf += got

    def frame(self, opcode, payload, fin=True, mask=True):
        """The bytes of one frame."""
        n = len(payload)
        head = bytes([(0x80 if fin else 0) | opcode])
        bit = 0x80 if mask else 0
        if n < 126:
            head += bytes([bit | n])
        elif n < 65536:
            head += struct.pack("!BH", bit | 126, n)
        else:
            head += struct.pack("!BQ", bit | 127, n)
        if not mask:
            return head + payload
        key = os.urandom(4)
        whole = (key * (n // 4 + 1))[:n]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(n, "big") if n else b""
        return head + key + masked

    def send(self, *commands):
        text = "\n".join(c if isinstance(c, str) else json.dumps(c) for c in commands)
        self.sock.sendall(self.frame(1, text.encode()))

    def read_frame(self):
        """(opcode, payload) of the next frame."""
        while True:
            need = 2
            if len(self.buf) >= 2:
                n, at = self.buf[1] & 0x7f, 2
                if n == 126:
                    at = 4
                    n = struct.unpack("!H", self.buf[2:4])[0] if len(self.buf) >= 4 else 0
                elif n == 127:
                    at = 10
                    n = struct.unpack("!Q", self.buf[2:10])[0] if len(self.buf) >= 10 else 0
                need = at + n
                if len(self.buf) >= at and len(self.buf) >= need:
                    opcode, payload = self.buf[0] & 15, self.buf[at:need]
                    self.buf = self.buf[need:]
                    return opcode, payload
            self.fill()

    def pump(self):
        """Handles one frame."""
        opcode, payload = self.read_frame()
        if opcode == 8:
            code = struct.unpack("!H", payload[:2])[0] if payload else 1005
            self.close = (code, payload[2:].decode())
        elif opcode in (1, 2):
            for text in payload.decode().split("\n"):
                if text == "{}" and self.pong:
                    self.send("{}")
                self.lines.append(json.loads(text))
        else:
            self.lines.append((opcode, payload))

    def line(self, pings=False):
        """The next line; pings are passed over unless asked for."""
        while True:
            while not self.lines:
                if self.close:
                    raise Failed(f"closed: {self.close}")
                self.pump()
            got = self.lines.pop(0)
            if got != {} or pings:
                return got

    def closed(self):
        while not self.close:
            self.pump()
        return self.close

    def connect(self, **fields):
        self.send({"id": 1, "connect": fields})
        got = self.line()
        if "connect" not in got:
            raise Failed(f"connect: {got}")
        return got["connect"]

    def ask(self, number, method, **fields):
        """Sends one command and returns its reply; pushes that come before it stay in self.pushes."""
        self.pushes = []
        self.send({"id": number, method: fields})
        while True:
            got = self.line()
            if got.get("id") == number:
                return got.get(method, got)
            self.pushes.append(got["push"])


def until(what, condition, limit_s=LIMIT_S):
    """Asks again until the condition gives something true."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.02)    # nothing that can be waited on: another process's state
    raise Failed(f"not within {limit_s} s: {what}")
