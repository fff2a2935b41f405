#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_runner - tools/run-tests counts right and fails when it must: on failures, on unlisted skips, on
programs that end early, crash, hang or say nothing, and on a run of no tests."""
import json
import os
import subprocess
import tempfile

from tap import case, check, check_eq, run

ROOT = os.environ["WEFT_SOURCE_ROOT"]


def run_tests(scripts, protocol="tap", allowed=None, timeout=30):
    """Runs a build folder that holds these shell scripts as tests; returns (status, last line, output)."""
    with tempfile.TemporaryDirectory() as top:
        build = os.path.join(top, "build")
        os.makedirs(os.path.join(build, "meson-info"))
        tests = [{"cmd": ["/bin/sh", "-c", s], "env": {}, "name": f"t{i}", "workdir": None, "timeout": timeout,
                  "suite": ["weft:unit"], "is_parallel": True, "priority": 0, "protocol": protocol}
                 for i, s in enumerate(scripts)]
        with open(os.path.join(build, "meson-info", "intro-tests.json"), "w", encoding="utf-8") as f:
            json.dump(tests, f)
        command = [os.path.join(ROOT, "tools", "run-tests"), "--build", build]
        if allowed is not None:
            listing = os.path.join(top, "allowed")
            with open(listing, "w", encoding="utf-8") as f:
                f.write(allowed)
            command += ["--skips", listing]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        return done.returncode, done.stdout.rstrip().split("\n")[-1], done.stdout


def expect(script, status, last, **kw):
    got = run_tests([script] if isinstance(script, str) else script, **kw)
    check_eq(got[:2], (status, last), got[2])
    return got[2]


@case
def counts_cases_over_programs():
    expect(["printf '1..2\\nok 1 - a\\nok 2 - b\\n'", "printf '1..1\\nok 1 - c\\n'"], 0, "3 passed, 0 failed")


@case
def shows_what_stands_before_a_failing_case():
    out = expect("echo 1..2; echo quiet >&2; echo ok 1 - a; echo loud >&2; echo not ok 2 - b; exit 1", 1, "1 passed, 1 failed")
    check("| loud" in out and "| quiet" not in out, out)


@case
def noise_without_a_newline_hides_no_result():
    expect("echo 1..2; printf noise >&2; echo ok 1 - a; printf noise >&2; echo not ok 2 - b; exit 1", 1, "1 passed, 1 failed")


@case
def an_unlisted_skip_fails():
    expect("echo 1..1; echo 'ok 1 - a # SKIP no moon'", 1, "0 passed, 1 failed", allowed="")
    expect("echo 1..1; echo 'ok 1 - a # SKIP no moon'", 0, "0 passed, 0 failed, 1 skipped", allowed="t0/* : no *\n")
    expect("echo 1..1; echo 'ok 1 - a # SKIP no moon'", 1, "0 passed, 1 failed", allowed="t0/* : no sun\n")
    expect("echo '1..0 # SKIP no moon'", 0, "0 passed, 0 failed, 1 skipped", allowed="* : no moon\n")


@case
def a_program_that_ends_early_fails():
    expect("echo 1..3; echo ok 1 - a", 1, "1 passed, 1 failed")
    expect("true", 1, "0 passed, 1 failed")
    expect("echo 1..1; echo ok 1 - a; kill -SEGV $$", 1, "1 passed, 1 failed")
    expect("echo 1..1; echo ok 1 - a; exit 3", 1, "1 passed, 1 failed")


@case
def a_hanging_program_ends():
    expect("echo 1..1; sleep 100", 1, "0 passed, 1 failed", timeout=1)


@case
def programs_without_tap_are_one_case():
    expect(["true", "false", "echo no moon; exit 77"], 1, "1 passed, 1 failed, 1 skipped", protocol="exitcode", allowed="* : no moon\n")


@case
def no_tests_at_all_is_a_failure():
    expect([], 1, "0 passed, 1 failed")


run()
