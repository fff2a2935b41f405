#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_ws_node.py - the npm package `ws` against examples/ws_echo; the cases are in node/wsecho.cjs."""
import os
import sys

from castserver import NET, node_environment, pass_on
from exampleserver import ExampleServer
from tap import Skipped

try:
    env = node_environment()
except Skipped as e:
    print(f"1..0 # SKIP {e}")
    sys.exit(0)
with ExampleServer("ws_echo") as server:
    sys.stdout.flush()
    status = pass_on(["node", os.path.join(NET, "node", "wsecho.cjs"), f"ws://{server.host}/"], env)
sys.exit(status)
