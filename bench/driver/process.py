# SPDX-License-Identifier: Apache-2.0
"""process.py - programs that measure and servers that are measured, each on the processors that it is given."""
import os
import re
import select
import socket
import subprocess
import tempfile
import time

RESULT = re.compile(r"^(\S+) (-?[\d.]+) (\S+)$", re.M)


class Failed(Exception):
    """A program that did not give its figures; the text says why."""


def pinned(cpus):
    return (lambda: os.sched_setaffinity(0, cpus)) if cpus else None


def last_line(text):
    lines = [line for line in text.strip().split("\n") if line.strip()]
    return lines[-1].strip() if lines else "no word"


def output_of(command, cpus=None, env=None, timeout_s=180, feed=None):
    """What a program prints; Failed where it does not end well. `feed` is a command whose output is its input."""
    feeder = None
    try:
        if feed:
            feeder = subprocess.Popen(feed, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        done = subprocess.run(command, stdin=feeder.stdout if feeder else subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout_s, preexec_fn=pinned(cpus),
                              env={**os.environ, **(env or {})})
    except subprocess.TimeoutExpired:
        raise Failed(f"{os.path.basename(command[0])} took more than {timeout_s:.0f} s") from None
    except OSError as e:
        raise Failed(f"{command[0]}: {e.strerror}") from None
    finally:
        if feeder:
            feeder.stdout.close()
            feeder.kill()
            feeder.wait()
    if done.returncode != 0 and not done.stdout.startswith("{"):
        raise Failed(f"{os.path.basename(command[0])}: status {done.returncode}, {last_line(done.stderr)}")
    return done.stdout


def figures_of(command, cpus=None, env=None, timeout_s=180, feed=None):
    """{name: value} of the lines `name value unit` that a program prints."""
    return {name: float(value) for name, value, _ in RESULT.findall(output_of(command, cpus, env, timeout_s, feed))}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A server that runs for the length of a `with`. It says `listening ADDRESS:PORT`, or is asked until it accepts
    on the port that it was given."""

    def __init__(self, command, cpus=None, env=None, port=None):
        self.command, self.cpus, self.env, self.port = command, cpus, env, port

    def __enter__(self):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE if not self.port else subprocess.DEVNULL,
                                        stderr=self.errors, text=True, preexec_fn=pinned(self.cpus),
                                        env={**os.environ, **(self.env or {})})
        try:
            if self.port:
                self.await_port()
            else:
                self.await_line()
        except BaseException:
            self.__exit__()
            raise
        return self

    def complain(self):
        self.errors.seek(0)
        raise Failed(f"{os.path.basename(self.command[0])} does not serve: {last_line(self.errors.read())}")

    def await_line(self):
        if not select.select([self.process.stdout], [], [], 20)[0]:
            self.complain()
        m = re.match(r"listening \S*:(\d+)", self.process.stdout.readline())
        if not m:
            self.complain()
        self.port = int(m[1])

    def await_port(self):
        for _ in range(1000):
            if self.process.poll() is not None:
                break
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        self.complain()

    @property
    def pid(self):
        return self.process.pid

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self.errors.close()
