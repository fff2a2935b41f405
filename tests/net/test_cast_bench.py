#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_cast_bench.py - `weftcast bench` against weftcast: every message arrives once at everyone, and figures add up.

Only counts are checked, never times."""
import json
import os
import subprocess

from castserver import API_KEY, BUILD, Server
from tap import case, check, check_eq, run

BINARY = os.environ.get("WEFT_TEST_BENCH", os.path.join(BUILD, "cast", "weftcast") + " bench").split()
SERVER = None


def bench(*args):
    command = BINARY + list(args) + ["--url", SERVER.url, "--quiet", "--json", "--pid", str(SERVER.process.pid)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    check(done.stdout.startswith("{"), done.stdout + done.stderr)
    return done.returncode, json.loads(done.stdout)


@case
def fanout_over_a_client_connection():
    status, r = bench("--clients", "200", "--rate", "200", "--duration", "1", "--warmup", "0.5", "--fail-on-loss")
    check_eq((status, r["problem"]), (0, ""))
    check_eq((r["ready"], r["failed"], r["gone"], r["lost"], r["repeated"]), (200, 0, 0, 0, 0))
    check_eq((r["published"], r["answered"], r["delivered"]), (300, 300, 300 * 200))
    check_eq((r["measured"], r["latency"]["count"]), (200 * 200, 200 * 200))
    check(r["latency"]["p50_ms"] <= r["latency"]["p999_ms"] <= r["latency"]["max_ms"], str(r["latency"]))


@case
def fanout_over_the_http_api():
    status, r = bench("--clients", "20", "--rate", "100", "--duration", "1", "--warmup", "0", "--publish", "api", "--api-key",
                      API_KEY, "--fail-on-loss", "--payload", "1000")
    check_eq((status, r["problem"], r["delivered"], r["lost"]), (0, "", 2000, 0))


@case
def fanout_in_a_channel_with_history_over_two_threads():
    status, r = bench("--channel", "hist:bench", "--clients", "21", "--threads", "2", "--sources", "5", "--rate", "100",
                      "--duration", "0.5", "--warmup", "0", "--fail-on-loss")
    check_eq((status, r["problem"], r["delivered"], r["lost"]), (0, "", 21 * 50, 0))


@case
def connect():
    status, r = bench("connect", "--clients", "300", "--rate", "1000", "--subscribe")
    check_eq((status, r["ready"], r["failed"], r["latency"]["count"]), (0, 300, 0, 300))


@case
def idle():
    status, r = bench("idle", "--clients", "300", "--duration", "0.5")
    check_eq((status, r["ready"], r["failed"], r["gone"]), (0, 300, 0, 0))
    check(r["server_rss_bytes"] > 0, str(r))


@case
def a_refusal_is_named():
    status, r = bench("--clients", "2", "--channel", "deny:x", "--rate", "10", "--duration", "0.1")
    check_eq((status, r["ready"], r["failed"]), (1, 0, 2))
    check("permission denied" in r["problem"], r["problem"])
    status, r = bench("--clients", "2", "--token", "garbage")
    check_eq(status, 1)
    check("3500" in r["problem"] and "invalid token" in r["problem"], r["problem"])


with Server() as SERVER:
    run()
