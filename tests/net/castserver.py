# SPDX-License-Identifier: Apache-2.0
"""castserver.py - what the tests of weftcast with real parties share: the server, HTTP, Node and its packages.

    with Server(config) as server:        # build/cast/weftcast on a free port of 127.0.0.1
        server.api("publish", {...})      # (status, text) of the HTTP API
        server.url                        # ws://127.0.0.1:PORT/connection/websocket

The server is ended by its pid with SIGTERM and must then exit with status 0 within ten seconds. WEFT_TEST_SERVER=PATH
plays the same tests against another server with the same flags and configuration: that is how they were checked
against Centrifugo itself.
"""
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from tap import Failed, Skipped

SOURCE = os.environ.get("WEFT_SOURCE_ROOT") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("WEFT_BUILD_ROOT") or os.path.join(SOURCE, "build")
NET = os.path.join(SOURCE, "tests", "net")
API_KEY, SECRET = "wire-key", "wire-secret-0123456789"

OPEN = {"allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True,
        "allow_publish_for_client": True, "allow_publish_for_anonymous": True}
HISTORY = {"history_size": 5, "history_ttl": "300s", "allow_history_for_client": True,
           "allow_history_for_anonymous": True}


def config(**client):
    """The configuration that the recordings were made with."""
    return {
        "client": {"token": {"hmac_secret_key": SECRET}, "allow_anonymous_connect_without_token": True,
                   "allowed_origins": ["*"], **client},
        "channel": {
            "without_namespace": dict(OPEN),
            "namespaces": [
                {"name": "hist", "force_recovery": True, **OPEN, **HISTORY},
                {"name": "pos", "force_positioning": True, **OPEN, **HISTORY},
                {"name": "pres", "presence": True, "join_leave": True, "force_push_join_leave": True, **OPEN,
                 "allow_presence_for_client": True, "allow_presence_for_anonymous": True},
                {"name": "big", "force_recovery": True, **OPEN, "history_size": 100000, "history_ttl": "300s"},
                {"name": "read", **OPEN, **HISTORY},
                {"name": "deny"},
            ],
        },
        "http_api": {"key": API_KEY},
        "health": {"enabled": True},
        "prometheus": {"enabled": True},
    }


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, conf=None, binary=None, fd_limit=None, internal=False):
        self.fd_limit, self.internal_port = fd_limit, free_port() if internal else None
        self.binary = binary or os.environ.get("WEFT_TEST_SERVER") or os.path.join(BUILD, "cast", "weftcast")
        self.config = conf or config()

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="weftcast-")
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"ws://{self.host}/connection/websocket"
        self.config["http_server"] = {"address": "127.0.0.1", "port": self.port}
        if self.internal_port:
            self.config["http_server"]["internal_port"] = str(self.internal_port)
        path = os.path.join(self.folder, "config.json")
        with open(path, "w") as f:
            json.dump(self.config, f)
        self.log = open(os.path.join(self.folder, "log"), "w+")
        command = [self.binary, "--config", path]
        if self.fd_limit:
            command = ["sh", "-c", f'ulimit -n {self.fd_limit}; exec "$@"', "sh"] + command
        env = dict(os.environ)    # under ASan freed memory is kept for a while: little, as tests look at the size
        env["ASAN_OPTIONS"] = ":".join(filter(None, [env.get("ASAN_OPTIONS"), "quarantine_size_mb=4"]))
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, cwd=self.folder, env=env)
        self.wait_until_up()
        return self

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def wait_until_up(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.internal_port or self.port}/health", timeout=2).read()
                return
            except OSError:
                time.sleep(0.02)    # nothing to wait on but its port
        self.stop()
        raise Failed(f"the server did not come up:\n{self.output()}")

    def stop(self):
        """Ends it; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise Failed(f"the server did not end within 10 s of SIGTERM:\n{self.output()}")
        return self.process.returncode

    def __exit__(self, kind, value, trace):
        good = kind is None or (kind is SystemExit and not value.code)
        try:
            status = self.stop()
            if status != 0 and good:
                raise Failed(f"the server exited with status {status}:\n{self.output()}")
            if not good:
                print("\n".join("# server: " + line for line in self.output().split("\n")[-40:]), flush=True)
        finally:
            self.log.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def http(self, path, body=None, headers=None, method=None, internal=False):
        """(status, headers, text) of one request; path with its leading slash."""
        host = f"127.0.0.1:{self.internal_port}" if internal else self.host
        data = body if body is None or isinstance(body, bytes) else body.encode()
        request = urllib.request.Request(f"http://{host}{path}", data, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as r:
                return r.status, r.headers, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read().decode()

    def api(self, method, body):
        text = body if isinstance(body, str) else json.dumps(body)
        status, _, answer = self.http(f"/api/{method}", text, {"X-API-Key": API_KEY}, "POST")
        return status, answer


def run_logged(command, **kw):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, **kw)
    return done.returncode, done.stdout


def prepared(folder, stamp, prepare):
    """Makes a folder below the build once for a given stamp, however many tests ask at the same time."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with open(folder + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        marker = os.path.join(folder, ".stamp")
        if os.path.exists(marker) and open(marker).read() == stamp:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        prepare(folder)
        with open(marker, "w") as f:
            f.write(stamp)
    return folder


def stamp_of(*paths):
    h = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as f:
            h.update(f.read())
    return h.hexdigest()


def node_environment():
    """Environment in which Node finds the locked packages; they are fetched into the build on first use."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skipped("node or npm is not installed")
    files = [os.path.join(NET, "node", n) for n in ("package.json", "package-lock.json")]

    def prepare(folder):
        for f in files:
            shutil.copy(f, folder)
        status, text = run_logged(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)
        if status != 0:
            raise Skipped("npm cannot fetch packages: " + text.strip().split("\n")[-1][:120])

    folder = prepared(os.path.join(BUILD, "tests", "net", "node"), stamp_of(*files), prepare)
    return dict(os.environ, NODE_PATH=os.path.join(folder, "node_modules"))


def python_client():
    """A Python interpreter that has the locked packages of node's counterpart, requirements.txt."""
    requirements = os.path.join(NET, "requirements.txt")

    def prepare(folder):
        venv = os.path.join(folder, "venv")
        status, text = run_logged([sys.executable, "-m", "venv", venv])
        if status == 0:
            status, text = run_logged([os.path.join(venv, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check",
                                       "--require-hashes", "-r", requirements])
        if status != 0:
            raise Skipped("pip cannot fetch packages: " + text.strip().split("\n")[-1][:120])

    folder = prepared(os.path.join(BUILD, "tests", "net", "python"), stamp_of(requirements), prepare)
    return os.path.join(folder, "venv", "bin", "python")


def cargo_version():
    """(major, minor) of the Cargo in the PATH; (0, 0): none."""
    if not shutil.which("cargo"):
        return 0, 0
    status, text = run_logged(["cargo", "--version"])
    found = re.match(r"cargo (\d+)\.(\d+)\.", text) if status == 0 else None
    return (int(found[1]), int(found[2])) if found else (0, 0)


def rust_client():
    """The program of rust/, built with its locked crates. Debian 12's Cargo cannot build them: it is of 2022."""
    if cargo_version() < (1, 85):
        raise Skipped("Cargo 1.85 or newer is not installed")
    source = os.path.join(NET, "rust")
    files = [os.path.join(source, n) for n in ("Cargo.toml", "Cargo.lock", "src/main.rs")]
    manifest = ["--locked", "--manifest-path", files[0]]

    def prepare(folder):
        status, text = run_logged(["cargo", "fetch", *manifest])
        if status != 0:
            raise Skipped("cargo cannot fetch packages: " + text.strip().split("\n")[-1][:120])
        status, text = run_logged(["cargo", "build", "--quiet", "--offline", *manifest, "--target-dir", folder])
        if status != 0:
            raise Failed(f"cargo build: {text}")

    folder = prepared(os.path.join(BUILD, "tests", "net", "rust"), stamp_of(*files), prepare)
    return os.path.join(folder, "debug", "clients")


def pass_on(command, env=None):
    """Runs a program that speaks TAP itself and ends with its status; its output becomes this one's."""
    return subprocess.run(command, env=env, timeout=600).returncode
