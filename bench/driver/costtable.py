#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""costtable.py - the table of docs/performance.md that says what an operation costs in counts.

    tools/build release bench/costs
    bench/driver/costtable.py build-release/bench/costs            what it counts now, beside the table
    bench/driver/costtable.py build-release/bench/costs --write    puts it into the table

The table lies between two marks; tests/build/test_costs.py compares it with what bench/costs counts."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "docs", "performance.md")
MARKS = "<!-- costs:begin -->", "<!-- costs:end -->"
COLUMNS = ("instructions", "locked", "switches", "system calls", "allocations")
LINE = re.compile(r"^(.+): (\d+)" + r" ([\d.]+)" * (len(COLUMNS) - 1) + "$", re.M)
# By how much a count may grow: a share of it, and in all columns but the first what is left of one in some repetitions
# (a look at the poller, a pool's batch).
SHARE, SLACK = 0.05, (3, 0.1, 0.1, 0.1, 0.1)


class Forbidden(Exception):
    """This machine does not let a program be traced."""


def counted(program):
    """{operation: counts} of a run."""
    done = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600, check=False)
    if done.returncode == 77:
        raise Forbidden(done.stderr.strip())
    if done.returncode != 0:
        raise RuntimeError(f"{program}: status {done.returncode}: {done.stdout}{done.stderr}")
    return {m[0]: tuple(map(float, m[1:])) for m in LINE.findall(done.stdout)}


def page():
    with open(PAGE, encoding="utf-8") as f:
        return f.read()


def committed(text=None):
    """{operation: counts} of the table."""
    text = page() if text is None else text
    begin, end = (text.index(mark) for mark in MARKS)
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text[begin:end].split("\n") if line.startswith("|")]
    return {row[0]: tuple(map(float, row[1:])) for row in rows[2:]}


def number(v):
    return f"{v:.0f}" if v == round(v) else f"{v:.2f}"


def markdown(counts):
    rows = ["| Operation | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    return "\n".join(rows + [f"| {name} | " + " | ".join(map(number, values)) + " |" for name, values in counts.items()])


def grown(want, got, columns=range(len(COLUMNS))):
    """Which counts of an operation have grown: [(column, was, is)]."""
    return [(COLUMNS[i], want[i], got[i]) for i in columns if got[i] > want[i] * (1 + SHARE) + SLACK[i]]


def main():
    now, was = counted(sys.argv[1]), committed()
    if "--write" in sys.argv:
        text = page()
        begin, end = (text.index(mark) for mark in MARKS)
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(text[:begin] + MARKS[0] + "\n" + markdown(now) + "\n" + text[end:])
        return 0
    for name, values in now.items():
        print(f"{name:36}" + "".join(f"{number(v):>9}" for v in values)
              + ("   " + ", ".join(f"{c}: was {number(w)}" for c, w, _ in grown(was[name], values)) if name in was else "   not in the table"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
