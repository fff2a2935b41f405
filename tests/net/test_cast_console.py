#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_cast_console.py - the web console in headless Chromium; the cases are in node/console.cjs.

Three servers: the demo's configuration (open on loopback), one with a password and a prefix, one that lets nobody in.
Screenshots are left in BUILD/console/.
"""
import json
import os
import shutil
import sys

from castserver import BUILD, NET, SOURCE, Server, node_environment, pass_on
from tap import Skipped

try:
    chromium = shutil.which("chromium")
    if not chromium:
        raise Skipped("Chromium is not installed")
    env = node_environment()
except Skipped as e:
    print(f"1..0 # SKIP {e}")
    sys.exit(0)
with open(os.path.join(SOURCE, "deploy", "demo.json"), encoding="utf-8") as f:
    demo = json.load(f)
locked = {**demo, "admin": {"enabled": True, "password": "open sesame & more", "secret": "console-secret",
                            "handler_prefix": "/ui"}}
closed = {**demo, "admin": {"enabled": True}}
shots = os.path.join(BUILD, "console")
os.makedirs(shots, exist_ok=True)
with Server(demo) as a, Server(locked) as b, Server(closed) as c:
    status = pass_on(["node", os.path.join(NET, "node", "console.cjs"), chromium, shots, a.host, b.host, c.host]
                     + sys.argv[1:], env)
sys.exit(status)
