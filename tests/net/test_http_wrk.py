#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_http_wrk.py - examples/http_hello under wrk for two seconds: every request is answered, and answered well."""
import re

from exampleserver import ExampleServer
from tap import case, check, check_eq, run, sh


@case
def no_request_is_lost():
    with ExampleServer("http_hello") as server:
        out = sh(["wrk", "-t1", "-c50", "-d2s", f"http://{server.host}/"], timeout=60)
        count = re.search(r"(\d+) requests in ", out)
        check(count and int(count[1]) > 0, out)
        check("Socket errors" not in out and "Non-2xx" not in out, out)
        check_eq(sh(["curl", "-sS", "-m", "20", f"http://{server.host}/"]), "Hello, World!\n", "afterwards")


run()
