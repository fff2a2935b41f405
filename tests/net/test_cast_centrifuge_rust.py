#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_cast_centrifuge_rust.py - the crate `centrifuge-client` against weftcast; the cases are in rust/src/main.rs."""
import os
import sys

from castserver import API_KEY, Server, pass_on, rust_client
from tap import Skipped
from wsraw import jwt

TOKENS = {
    **{user: jwt(sub=user) for user in ("a", "gone", "back")},
    "b": jwt(sub="b", info={"n": 2}),
    "server-side": jwt(sub="server-side", channels=["hist:rs-srv"]),
    "channel": jwt(sub="a", channel="deny:token"),
}

try:
    program = rust_client()
except Skipped as e:
    print(f"1..0 # SKIP {e}")
    sys.exit(0)
with Server() as server:
    arguments = [server.host, API_KEY] + [f"{name}={token}" for name, token in TOKENS.items()] + sys.argv[1:]
    status = pass_on([program] + arguments, dict(os.environ, RUST_BACKTRACE="0"))
sys.exit(status)
