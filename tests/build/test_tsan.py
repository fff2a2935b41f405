#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_tsan - the short form of `make stress SETUP=tsan` and SETUP=tsan-rt: pairs of programs of
which one races and must be reported and one must not, and the library's own queues and timers under
ThreadSanitizer for two seconds. Both builds lie in the build folder and are kept between runs."""
import os
import shutil
import subprocess

from tap import case, check, run, sh, skip

ROOT = os.environ["WEFT_SOURCE_ROOT"]


def build(name, options, programs):
    if not shutil.which("clang"):
        skip("clang is not installed")
    folder = os.path.join(os.environ["WEFT_BUILD_ROOT"], name)
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        env = dict(os.environ, CC="clang", CXX="clang++")
        sh(["meson", "setup", folder, ROOT, "-Db_sanitize=thread", "-Db_lundef=false", *options], env=env)
    sh(["ninja", "-C", folder, *programs])
    return [os.path.join(folder, p) for p in programs]


def passes(program, *cases):
    done = subprocess.run([program, *cases], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, WEFT_STRESS_SECONDS="1"))
    check(done.returncode == 0 and "not ok" not in done.stdout, done.stdout[-6000:])


@case
def races_of_user_code_are_told_from_order():
    for program in build("tsan", ["-Dtsan=fibers"], ["tests/unit/test_race", "tests/unit/test_race_ctx"]):
        passes(program)


@case
def the_library_itself_does_not_race():
    ring, timers, sync = build("tsan-rt", ["-Dtsan=runtime"], [
        "tests/stress/stress_ring", "tests/stress/stress_timers", "tests/stress/test_sync_stress"])
    passes(ring)
    passes(timers, "heap_start_stop_fire")
    passes(sync, "channels_threads", "queues_threads")


@case
def the_broadcast_server_s_core_does_not_race():
    for program in build("tsan-rt", ["-Dtsan=runtime"], [
            "tests/unit/test_core_tlog", "tests/unit/test_core_fanout", "tests/unit/test_core_refs"]):
        passes(program)


run()
