#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_cast_wire.py - weftcast against the recorded exchanges of wire.txt, line by line, over the npm package `ws`."""
import os
import sys

from castserver import API_KEY, NET, SECRET, Server, node_environment, pass_on
from tap import Skipped

try:
    env = node_environment()
except Skipped as e:
    print(f"1..0 # SKIP {e}")
    sys.exit(0)
with Server() as server:
    status = pass_on(["node", os.path.join(NET, "node", "wire.cjs"), os.path.join(NET, "wire.txt"), server.host,
                      API_KEY, SECRET] + sys.argv[1:], env)
sys.exit(status)
