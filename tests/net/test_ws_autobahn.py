#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_ws_autobahn.py - the cases of the Autobahn test suite, chapters 1 to 7 and 10, against examples/ws_echo.

The suite's package is fetched into the build on first use; autobahn.py runs its cases and says how."""
import os
import sys

from castserver import BUILD, NET, pass_on, prepared, run_logged
from exampleserver import ExampleServer
from tap import Skipped

PACKAGE = "autobahntestsuite==25.10.1"
DIGEST = "sha256:b083d6e15330fc16f3e5f0975cce2b15f21bfa0c6db09547316b1852c6dbd6df"


def fetch(folder):
    requirements, venv = os.path.join(folder, "requirements.txt"), os.path.join(folder, "venv")
    with open(requirements, "w") as f:
        f.write(f"{PACKAGE} --hash={DIGEST}\n")
    status, text = run_logged([sys.executable, "-m", "venv", venv])
    if status == 0:
        status, text = run_logged([os.path.join(venv, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check",
                                   "--no-deps", "--require-hashes", "--target", os.path.join(folder, "suite"), "-r", requirements])
    if status != 0:
        raise Skipped("pip cannot fetch packages: " + text.strip().split("\n")[-1][:120])


try:
    suite = os.path.join(prepared(os.path.join(BUILD, "tests", "net", "autobahn"), PACKAGE + DIGEST, fetch), "suite")
except Skipped as e:
    print(f"1..0 # SKIP {e}")
    sys.exit(0)
with ExampleServer("ws_echo") as server:
    sys.stdout.flush()
    status = pass_on([sys.executable, os.path.join(NET, "autobahn.py"), suite, f"ws://{server.host}/"] + sys.argv[1:])
sys.exit(status)
