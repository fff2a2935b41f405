# SPDX-License-Identifier: Apache-2.0
"""exampleserver.py - runs one of the example servers on a free port, for tests with real parties.

    with ExampleServer("ws_echo") as server:
        server.host           # 127.0.0.1:PORT, as the program printed it

It is ended by its pid; that it is still there then is checked.
"""
import os
import subprocess

from castserver import BUILD
from tap import Failed


class ExampleServer:
    def __init__(self, name):
        self.program = os.path.join(BUILD, "examples", name)

    def __enter__(self):
        self.process = subprocess.Popen([self.program, "127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening "):
            self.process.kill()
            self.process.wait()
            raise Failed(f"{self.program} printed {line!r}")
        self.host = line.split()[1]
        return self

    def __exit__(self, kind, value, trace):
        ended = self.process.poll()
        if ended is None:
            self.process.terminate()
            self.process.wait(10)
        self.process.stdout.close()
        if ended is not None and kind is None:
            raise Failed(f"{self.program} ended by itself with status {ended}")
