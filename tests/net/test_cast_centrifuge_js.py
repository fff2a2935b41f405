#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_cast_centrifuge_js.py - the unchanged npm package `centrifuge` against weftcast; the cases are in node/clients.cjs."""
import os
import sys

from castserver import API_KEY, NET, SECRET, Server, config, node_environment, pass_on
from tap import Skipped

try:
    env = node_environment()
except Skipped as e:
    print(f"1..0 # SKIP {e}")
    sys.exit(0)
with Server(config(recovery_max_publication_limit=100000)) as server:
    status = pass_on(["node", os.path.join(NET, "node", "clients.cjs"), server.host, API_KEY, SECRET] + sys.argv[1:], env)
sys.exit(status)
