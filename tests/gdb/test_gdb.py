# SPDX-License-Identifier: Apache-2.0
"""test_gdb.py - tools/gdb/weft-gdb.py on a live process and on its core file.

gdb runs gdb_parked into its trap and lists the fibers; then it does the same with a core file, which is made at the
trap from within gdb: what the kernel does with one is the machine's business (core_pattern may be a pipe).
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import case, check, run, skip

ROOT, PROGRAM = os.environ["WEFT_SOURCE_ROOT"], sys.argv.pop(1)
SCRIPT = os.path.join(ROOT, "tools", "gdb", "weft-gdb.py")
LOOK = ["-ex", "weft fibers", "-ex", "echo \\n==\\n", "-ex", "weft bt 2", "-ex", "weft bt 99",
        "-ex", "echo \\n==\\n", "-ex", "weft fibers sleeps_long"]


def gdb(*args):
    if not shutil.which("gdb"):
        skip("gdb is not installed")
    done = subprocess.run(["gdb", "-q", "-batch", "-nx", "-ex", "set debuginfod enabled off", *args],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=120)
    if "ptrace" in done.stdout or "Could not trace" in done.stdout:
        skip("gdb may not trace here")
    if "Scripting in the \"Python\" language is not supported" in done.stdout:
        skip("gdb has no Python")
    return done.stdout


def looks_right(text):
    listing, backtrace, chosen = text.split("\n==\n")
    check(listing.count('"taker" [chan receive, ') == 3, listing)
    check(re.search(r"fiber \d+ \[sleep, \d+\.\d+ s\]", listing), listing)
    check(re.search(r"fiber \d+ \[running\]\n    falls_into_the_trap at .*gdb_parked\.c:\d+\n    app at ", listing), listing)
    check(listing.count("    waits_for_jobs at ") == 3, listing)
    check("5 fibers" in listing, listing)
    check(re.search(r"^fiber 2 .*\n(#\d.*\n)*#\d+ +0x[0-9a-f]+ in weft__park(, in \w+)? at .*park\.c:\d+\n", backtrace, re.M), backtrace)
    check("no fiber 99" in backtrace, backtrace)
    check("1 fibers" in chosen and "taker" not in chosen, chosen)


@case
def live_process():
    text = gdb("-ex", "run", "-ex", f"source {SCRIPT}", *LOOK, PROGRAM)
    check("SIGILL" in text, text)
    looks_right(text)


@case
def core_file():
    with tempfile.TemporaryDirectory(dir=os.path.dirname(PROGRAM)) as folder:
        core = os.path.join(folder, "core")
        made = gdb("-ex", "run", "-ex", f"source {SCRIPT}", "-ex", f"weft core {core}", PROGRAM)
        check(os.path.exists(core), made)
        looks_right(gdb("-ex", f"source {SCRIPT}", *LOOK, PROGRAM, core))


@case
def stacks_that_are_away():
    """A stopped process brings no stack back, and a core file has none of them: they are read where they are kept."""
    cold = ["-ex", "set environment WEFT_COLD=1ms"]
    text = gdb(*cold, "-ex", "run", "-ex", f"source {SCRIPT}", *LOOK, PROGRAM)
    if "no cold stacks here" in text:
        skip("no userfaultfd for us here")
    looks_right(text)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(PROGRAM)) as folder:
        core = os.path.join(folder, "core")
        gdb(*cold, "-ex", "run", "-ex", f"source {SCRIPT}", "-ex", f"weft core {core}", PROGRAM)
        text = gdb("-ex", f"source {SCRIPT}", *LOOK, PROGRAM, core)
        looks_right(text)


@case
def numbers_are_those_of_the_arenas():
    with open(os.path.join(ROOT, "src/sched/stack.c"), encoding="utf-8") as f:
        source = f.read()
    with open(SCRIPT, encoding="utf-8") as f:
        script = f.read()
    numbers = [re.search(rf"\b{n} = (\d+)", source)[1] for n in ("COLOURS", "COLOUR_BYTES")]
    check("COLOURS, COLOUR_BYTES = " + ", ".join(numbers) in script, numbers)


run()
