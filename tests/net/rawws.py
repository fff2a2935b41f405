# SPDX-License-Identifier: Apache-2.0
"""rawws.py - a WebSocket client that can do everything wrong: for tests that need bytes no library would send."""
import base64
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode, payload=b"", fin=True, rsv=0, mask=True, length=None):
    """A frame; `length` lies about the payload's."""
    payload = payload.encode() if isinstance(payload, str) else payload
    n = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 1 << 16:
        head += struct.pack(">BH", bit | 126, n)
    else:
        head += struct.pack(">BQ", bit | 127, n)
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))


def upgrade_request(host, path="/connection/websocket", **fields):
    key = base64.b64encode(os.urandom(16)).decode()
    lines = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": key, **fields}
    return (f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode()


class Closed(Exception):
    """The server ended the connection; args: close code (None: no close frame), reason."""


class RawClient:
    def __init__(self, host, connect=True, timeout=10, rcvbuf=None):
        name, port = host.split(":")
        self.socket = socket.socket()
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.socket.settimeout(timeout)
        self.socket.connect((name, int(port)))
        self.buffer = b""
        self.lines = []
        self.socket.sendall(upgrade_request(host))
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        if connect:
            self.send('{"id":1,"connect":{}}')
            self.reply('{"id":1,"connect":{')

    def more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed(None, "")
        self.buffer += data

    def take(self, n):
        while len(self.buffer) < n:
            self.more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def next_frame(self):
        b0, b1 = self.take(2)
        assert b0 & 0x70 == 0 and b1 & 0x80 == 0, "a server's frame has no reserved bits and no mask"
        n = b1
        if n == 126:
            n = struct.unpack(">H", self.take(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.take(8))[0]
        payload = self.take(n)
        if b0 & 15 == CLOSE:
            code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else None
            raise Closed(code, payload[2:].decode())
        return b0 & 15, payload

    def line(self):
        """The next line of the protocol; WebSocket pings are answered, raises Closed at the end."""
        while not self.lines:
            opcode, payload = self.next_frame()
            if opcode == PING:
                self.socket.sendall(frame(PONG, payload))
            elif opcode in (TEXT, BINARY):
                self.lines = payload.decode().split("\n")
        return self.lines.pop(0)

    def reply(self, start, ping=True):
        """The next line that begins so; the server's pings are answered."""
        while True:
            line = self.line()
            if line.startswith(start):
                return line
            assert line == "{}", f"want {start}..., got {line}"
            if ping:
                self.send("{}")

    def send(self, text):
        self.socket.sendall(frame(TEXT, text))

    def send_raw(self, data):
        self.socket.sendall(data)

    def wait_closed(self):
        """(code, reason) of the close; lines before it are dropped."""
        try:
            while True:
                self.line()
        except Closed as e:
            return e.args

    def close(self):
        self.socket.close()
