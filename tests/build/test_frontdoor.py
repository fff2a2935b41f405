#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_frontdoor - the Makefile and the scripts behind it keep their promises: short, self-explaining, quick when
there is nothing to do, clear when misused."""
import os
import re
import subprocess
import time

from tap import case, check, check_eq, run, sh

ROOT = os.environ["WEFT_SOURCE_ROOT"]
DOORS = ["help", "run", "test", "bench", "stress", "install"]


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


@case
def the_makefile_is_short_and_lists_its_targets():
    makefile = text("Makefile")
    check(makefile.count("\n") <= 30, "more than 30 lines")
    listed = re.findall(r"^  make (\w+)", sh(["make", "-s", "-C", ROOT]), re.M)
    check_eq(listed, DOORS)
    check_eq(re.findall(r"^(\w+):", makefile, re.M), DOORS)


@case
def a_second_setup_is_quick_and_silent():
    """What is missing here was named by the first run; a machine without the means to install has said so."""
    started = time.monotonic()
    done = subprocess.run([os.path.join(ROOT, "tools", "setup")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check_eq((done.returncode, done.stdout), (0, ""))
    check(time.monotonic() - started < 5, "a second set-up took seconds")


@case
def wrong_usage_is_refused_with_the_choices():
    for command, choice in ((["tools/build", "nonsense"], "asan"), (["tools/setup", "--nonsense"], "--test"),
                            (["tools/tidy", "--rules", "nonsense"], "basename")):
        done = subprocess.run([os.path.join(ROOT, command[0]), *command[1:]], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        check_eq(done.returncode, 2, command)
        check(choice in done.stdout, done.stdout)


@case
def integration_calls_make_test():
    check(re.search(r"^make\b.*\btest\b", text(".ci/run"), re.M), ".ci/run does not call make test")
    check(os.access(os.path.join(ROOT, ".ci", "run"), os.X_OK), ".ci/run is not executable")


run()
