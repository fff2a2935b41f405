#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_echo.py - the echo servers among the examples: one fiber a connection, and one pinned loop for all."""
import os
import socket
import subprocess
import threading
import time

from castserver import BUILD, free_port
from tap import Failed, check, check_eq, each, run

SIZES = [1, 4095, 4096, 4097, 3_000_000]


def connected(port, process):
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            time.sleep(0.01)    # nothing to wait on but its port
    raise Failed(f"it does not listen, status {process.poll()}")


def echoes(s, data):
    """Everything comes back while it is still being sent."""
    sender = threading.Thread(target=s.sendall, args=(data,))
    sender.start()
    got = bytearray()
    while len(got) < len(data):
        piece = s.recv(65536)
        check(piece, f"closed after {len(got)} of {len(data)} bytes")
        got += piece
    sender.join()
    check(bytes(got) == data, f"{len(data)} bytes came back otherwise")


@each(["echo", "loop_echo"], lambda name: name)
def echo(name):
    port = free_port()
    process = subprocess.Popen([os.path.join(BUILD, "examples", name), f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)
    try:
        with connected(port, process) as first, connected(port, process) as second, connected(port, process) as third:
            for size in SIZES:
                echoes(first, os.urandom(size))
                echoes(second, os.urandom(size))
            third.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            third.sendall(b"x")
            third.close()    # a reset, which the others do not notice
            echoes(first, b"still there")
            second.shutdown(socket.SHUT_WR)
            check_eq(second.recv(10), b"", "an end is answered by an end")
            echoes(first, b"and now")
        check_eq(process.poll(), None, "it serves on")
    finally:
        process.terminate()
        process.wait(10)


run()
