#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_cast_centrifuge_python.py - the PyPI package `centrifuge-python` against weftcast; cases in python/clients.py."""
import os
import sys

from castserver import API_KEY, NET, SECRET, Server, pass_on, python_client
from tap import Skipped

try:
    interpreter = python_client()
except Skipped as e:
    print(f"1..0 # SKIP {e}")
    sys.exit(0)
env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
with Server() as server:
    status = pass_on([interpreter, os.path.join(NET, "python", "clients.py"), server.host, API_KEY, SECRET] + sys.argv[1:], env)
sys.exit(status)
