#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_http_curl.py - examples/http_hello as curl sees it, and the command lines of the examples that serve."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile

from castserver import BUILD
from exampleserver import ExampleServer
from tap import case, check, check_eq, each, run, sh

if not shutil.which("curl"):
    print("1..0 # SKIP curl is not installed")
    sys.exit(0)

SERVER = None


def curl(path, *args):
    return sh(["curl", "-sS", "-m", "20", *args, f"http://{SERVER.host}{path}"])


@case
def a_greeting():
    check_eq(curl("/"), "Hello, World!\n")
    check_eq(curl("/?name=Ada+%26%20Bob"), "Hello, Ada & Bob!\n")
    head = curl("/", "-I")
    check(head.startswith("HTTP/1.1 200 OK") and "Content-Length: 14" in head, head)
    check_eq(curl("/nowhere", "-o", "/dev/null", "-w", "%{http_code}"), "404")


@case
def one_connection_for_many():
    url = f"http://{SERVER.host}/"
    out = sh(["curl", "-sS", "-m", "20", "-w", "%{num_connects} ", "-o", "/dev/null", url, "-o", "/dev/null", url,
              "-o", "/dev/null", url])
    check_eq(out, "1 0 0 ")


@case
def uploads_come_back():
    with tempfile.TemporaryDirectory() as folder:
        data, got = os.path.join(folder, "data"), os.path.join(folder, "got")
        with open(data, "wb") as f:
            f.write(os.urandom(3_000_000))
        for args in (["-H", "Expect:"], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"], ["--http1.0"]):
            curl("/echo", "--data-binary", f"@{data}", "-o", got, *args)
            with open(data, "rb") as a, open(got, "rb") as b:
                check(a.read() == b.read(), f"{args}: other bytes came back")


@case
def a_stream():
    check_eq(curl("/count", "-N"), "".join(f"{i}\n" for i in range(1, 11)))
    check_eq(curl("/count", "-N", "--http1.0"), "".join(f"{i}\n" for i in range(1, 11)))


@case
def a_client_that_hangs_up():
    host, port = SERVER.host.split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as s:
            s.sendall(b"GET /count HTTP/1.1\r\nHost: h\r\n\r\n")
            s.recv(10)
    check_eq(curl("/"), "Hello, World!\n")


@each(["http_hello", "ws_echo"], lambda name: f"command_line_of_{name}")
def command_line(name):
    program = os.path.join(BUILD, "examples", name)
    check(sh([program, "--help"]).startswith(f"usage: {name} ADDRESS:PORT"), "--help")
    check_eq(subprocess.run([program], stderr=subprocess.DEVNULL).returncode, 2, "no argument")
    done = subprocess.run([program, SERVER.host], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check_eq(done.returncode, 1, "an address in use")
    check(SERVER.host in done.stderr and done.stderr.count("\n") == 1, done.stderr)


with ExampleServer("http_hello") as SERVER:
    run()
