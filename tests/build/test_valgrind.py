#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_valgrind - the unit suite under memcheck: no invalid access, no use of undefined bytes, nothing lost for good.

In `make test` some cases of each room; in `make stress` (WEFT_STRESS_SECONDS is set) all but LEFT_OUT, programs being begun
for so many minutes. memcheck knows fibers' stacks since the library tells it (sched/sanitize.h), so none of its reports is suppressed that
names the library; tests/valgrind.supp has those of others. It runs one thread at a time, by turns (--fair-sched), or a spinning
worker would keep the one from running that it waits for. And it holds its lock in io_uring_enter, so nothing waits there: epoll,
and files by the pool. What a case asks for in time, descriptors or new system calls valgrind may not have: LEFT_OUT, with reasons.

A case whose process ends with a report has failed, since valgrind then ends with status ERROR. Reports on processes that a
case expects to die, say of a use after free that the library is to notice, do no harm: their status does not count."""
import fnmatch
import os
import shutil
import subprocess
import time

from tap import case, check, run, skip

BUILD = os.path.join(os.environ["WEFT_BUILD_ROOT"], "tests", "unit")
SECONDS = int(os.environ.get("WEFT_STRESS_SECONDS", "0"))
ERROR = 99
VALGRIND = ["valgrind", "-q", "--fair-sched=yes", f"--error-exitcode={ERROR}", "--leak-check=full",
            "--errors-for-leak-kinds=definite", "--show-leak-kinds=definite",
            "--suppressions=" + os.path.join(os.environ["WEFT_SOURCE_ROOT"], "tests", "valgrind.supp")]
# A thread that has ended leaves its stack known to valgrind, and stacks of fibers that come to lie there look like one: a switch
# between two of them is then frames that come or go, unless it is too far for any frame of these programs.
MORE = {"test_run_ends": ["--max-stackframe=50000"]}
SHORT = {
    "sched": ["test_sched/hand_off_2", "test_sched/entry_result_and_run_again", "test_sched/plain_threads_spawn_fibers"],
    "sync": ["test_chan/C0[1-4]_*", "test_select/timeouts", "test_select/many_cases", "test_kit/*misuse", "test_kit/sema_order"],
    "ctx": ["test_scope/first_error*_2", "test_panic/defers*_2", "test_error/*", "test_run/result_and_own_return"],
    "io": ["test_net/tcp_echo_2", "test_net/cancel_ends_a_pipe_read", "test_file/files_through_the_pool",
           "test_loop_io/read_*_epoll"],
    "proto": ["test_http1_head/re*", "test_utf8/*"],
    "net": ["test_http_server/bodies_both_ways_1", "test_http_server/pipelining_1", "test_ws/fragments_both_ways_1"],
    "diag": ["test_diag/misuse_names_the_fiber", "test_diag/stats_are_read"],
}
LEFT_OUT = [
    # models: they compute, and share nothing
    "test_parkwake/*", "test_handover/*", "test_retake/*", "test_shrink_model/*",
    # a million of something
    "test_sched_many/*", "test_sched/spawn_join_*", "test_chan/C06_*",
    # about memory, threads, processors that valgrind takes
    "test_shrink/*", "test_threads/*", "test_limits/*", "test_frames/*", "test_peek/*", "test_cpus/*", "test_fault/a_fault_*",
    "test_stack/nothing_is_lost_*", "test_stack/one_makes_ready_*", "test_stack/threads_get_*",
    # about the last descriptor, where valgrind keeps some for itself
    "test_loop_listen/accept_pauses_*", "test_http_server/out_of_descriptors_*",
    # about time
    "test_sched/*hog*", "test_left_over/a_sleeper_*",
    # rings
    "*/*_uring", "test_file/files_through_io_uring",
    # debuggers; and handlers, whose stacks valgrind does not grow, or takes for the frames of a fiber beside them
    "test_diag/gdb_*", "test_diag/a_running_fiber_*", "test_debug_loops/sigquit_*",
    "test_signal/*",
    # valgrind 3.19 has no pidfd_send_signal, and its vfork copies the memory
    "test_children/how_they_end", "test_children/several_*", "test_children/many_at_once", "test_children/much_*",
    "test_children/*_on_an_old_kernel", "test_children/what_cannot_*", "test_children/where_programs_*",
    "test_children/no_descriptor_left", "test_children/killed_when_*", "test_children/a_wait_ends_*",
    "test_children/the_end_of_a_run_*", "test_children/the_memory_*",
]


def cases_of(program):
    done = subprocess.run([os.path.join(BUILD, program), "--list"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()


def under_valgrind(program, cases):
    env = dict(os.environ, WEFT_IO="epoll", WEFT_FILE="pool", WEFT_STRESS_SECONDS="1", WEFT_TEST_TIMEOUT="400")
    done = subprocess.run(VALGRIND + MORE.get(program, []) + [os.path.join(BUILD, program), *cases], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", env=env)
    return "" if done.returncode == 0 else f"{program}: status {done.returncode}\n{done.stdout[-8000:]}\n"


def wanted():
    if shutil.which("valgrind") is None:
        skip("valgrind is not installed")


def some_cases(room):
    def body():
        wanted()
        patterns = {}
        for entry in SHORT[room]:
            program, pattern = entry.split("/")
            patterns.setdefault(program, []).append(pattern)
        for program, of_it in patterns.items():
            cases = [c for c in cases_of(program) if any(fnmatch.fnmatch(c, p) for p in of_it)]
            check(cases, f"{program}: no case is called {of_it}")
            report = under_valgrind(program, cases)
            check(not report, report)
    body.__name__ = f"{room}_is_clean"
    case(body)


def whole_suite():
    wanted()
    until, left, reports = time.monotonic() + 60 * SECONDS, [], []
    for program in sorted(f for f in os.listdir(BUILD) if f.startswith("test_") and os.access(os.path.join(BUILD, f), os.X_OK)
                          and os.path.isfile(os.path.join(BUILD, f)) and not f.endswith(".p")):
        cases = [c for c in cases_of(program) if not any(fnmatch.fnmatch(f"{program}/{c}", p) for p in LEFT_OUT)]
        if time.monotonic() > until:
            left.append(program)
        elif cases:
            reports.append(under_valgrind(program, cases))
    check(not any(reports), "".join(reports))
    print("# left out, as the time was up: " + (" ".join(left) or "none"))


if SECONDS:
    case(whole_suite)
else:
    for name in SHORT:
        some_cases(name)
run()
