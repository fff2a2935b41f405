#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_costs.py - no operation costs more than docs/performance.md says: instructions, locked ones, switches, system
calls, allocations, counted in the build that is installed.

Counts need no quiet machine, so that a regression fails here without a clock. What a compiler makes of the same source
differs: instructions are compared under the compiler with which the table was made. All else is compared under any."""
import os
import re
import sys

from tap import case, check, check_eq, run, sh, skip

ROOT, BUILD = os.environ["WEFT_SOURCE_ROOT"], os.environ["WEFT_BUILD_ROOT"]
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "bench"))
from driver import costtable  # noqa: E402

RELEASE = os.path.join(ROOT, "build-release")
MADE_WITH = "12"  # gcc's version
counts = {}


def now():
    if not counts:
        sh([os.path.join(ROOT, "tools", "build"), "release", "bench/costs"])
        try:
            counts.update(costtable.counted(os.path.join(RELEASE, "bench", "costs")))
        except costtable.Forbidden as e:
            skip(str(e))
    return counts


def compare(columns):
    was = costtable.committed()
    complaints = [f"{name}: {column} {was_:g} -> {is_:g}" for name, got in now().items()
                  for column, was_, is_ in costtable.grown(was[name], got, columns)]
    check(not complaints, "cost more than docs/performance.md says (bench/driver/costtable.py writes the table):\n  "
          + "\n  ".join(complaints))


@case
def table_names_what_is_counted():
    check_eq(list(costtable.committed()), list(now()), "operations")


@case
def atomics_switches_system_calls_and_allocations():
    compare(range(1, len(costtable.COLUMNS)))


@case
def instructions():
    with open(os.path.join(RELEASE, "meson-logs", "meson-log.txt"), encoding="utf-8", errors="replace") as f:
        compiler = re.search(r"^C compiler for the host machine: .*\((gcc) (\d+)", f.read(), re.M)
    if not compiler or compiler[2] != MADE_WITH:
        skip(f"the table is of gcc {MADE_WITH}")
    compare([0])


@case
def what_cost_nothing_is_told_apart():
    """The comparison itself: growth is seen, noise is not."""
    was = (100.0, 4.0, 1.0, 0.0, 2.0)
    check_eq(costtable.grown(was, (107.0, 4.2, 1.1, 0.05, 2.0)), [])
    check_eq([c for c, _, _ in costtable.grown(was, (109.0, 5.0, 1.0, 0.2, 3.0))],
             ["instructions", "locked", "system calls", "allocations"])


run()
