#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_simrt_mutants.py - that the explorer bites: the library with one mistake in it, made in a copy of a
source, must fail one of its programs within a number of schedules.

The copy is compiled with the command that the build used for the source, and linked with the build's other
objects into a library of the same name, which the test program loads instead.
"""
import glob
import json
import os
import shlex
import subprocess
import tempfile

from tap import check, each, run, sh

BUILD = os.environ["WEFT_BUILD_ROOT"]
SOURCE = os.environ["WEFT_SOURCE_ROOT"]
OBJECTS = os.path.join(BUILD, "tests", "simrt", "libsimrt.so.p")

# name, source, what stands there, what shall, program, its case, schedules an exploration
MUTANTS = [
    ("no_wake_up_for_surplus", "src/sched/park.c", "at_fence(); /* W4 */\n        weft__wake_for_surplus();", "",
     "test_simrt", "nobody_sleeps_while_there_is_work", 300),
    ("no_fence_before_the_look_for_sleepers", "src/sched/park.c", "at_fence(); /* W4 */", "",
     "test_simrt", "nobody_sleeps_while_there_is_work", 6000),
    ("who_finds_work_wakes_nobody", "src/sched/worker.c",
     "if (at_sub(&s->spinning, 1) == 1 && at_load(&s->idle) > 0)", "if (at_sub(&s->spinning, 1) > 99)",
     "test_simrt", "nobody_sleeps_while_there_is_work", 300),
    ("a_worker_is_taken_from_a_thread_inside", "src/sched/monitor.c",
     "bool take = !at_load(&m->t.in_rt) && ", "bool take = ",
     "test_simrt", "a_blocked_thread_loses_its_worker", 3000),
    ("a_wake_taken_in_passing_is_kept", "src/io/poller.c", "if (woken)\n        pass_on_wake();", "(void)woken;\n    (void)pass_on_wake;",
     "test_simrt", "a_wake_taken_in_passing_is_passed_on", 2000),
    ("an_edge_is_spent_on_a_waiter_claimed_by_another", "src/io/poller.c", "n += wake_waiter(", "n++, (void)wake_waiter(",
     "test_simrt", "events_wake_fibers", 3000),
    ("nobody_looks_who_came_while_it_was_closed", "src/io/poller.c", "closed(r, generation);", "(void)closed;\n    (void)generation;",
     "test_simrt", "a_close_ends_all_reads", 6000),
    ("a_late_wait_is_for_whatever_has_the_number", "src/io/poller.c", "    if (closed_since(s, w))", "    if (false)",
     "test_simrt", "a_close_ends_all_reads", 6000),
    ("a_dying_descriptor_is_registered", "src/io/poller.c", "int rc = r->closing ? 0 : ", "int rc = ",
     "test_simrt", "a_close_ends_all_reads", 6000),
    ("a_thief_takes_without_comparing", "src/sched/runq.c",
     "if (at_cas(&victim->head, &head, head + n))", "if (at_store(&victim->head, head + n), true)",
     "test_simrt_small", "the_ring_loses_and_doubles_nothing", 300),
    ("no_fence_before_a_newborn_looks_for_the_end", "src/ctx/go.c", '#include "ctx/context.h"',
     '#include "base/atomic.h"\n#undef at_fence\n#define at_fence() ((void)0)\n#include "ctx/context.h"',
     "test_simrt_sync", "a_run_ends_while_fibers_are_born", 3000),
    ("the_end_looks_before_it_is_marked", "src/ctx/cancel.c", "    if (weft__ctx_finds_all(c))", "    if (false)",
     "test_simrt_sync", "a_run_ends_while_fibers_are_born", 100),
    ("an_error_is_told_before_the_channel_is_closed", "src/ctx/context.c",
     "if (!settled(n)) {\n        weft__lock", "if (false) {\n        weft__lock",
     "test_simrt_sync", "an_end_is_seen_whole", 3000),
    ("who_gives_a_wait_up_does_not_look_whether_it_is_over", "src/sync/waitgroup.c",
     "if (counter_of(s) == 0)\n            return weft__park", "if (false)\n            return weft__park",
     "test_simrt_sync", "a_group_may_go_after_the_last_wait", 3000),
    ("who_was_passed_over_does_not_look_again", "src/sync/chan.c",
     "rc = err || linked ? err : at_once_locked(c, w->elem, sends, &peer);", "rc = err ? err : linked ? 0 : -EAGAIN;",
     "test_simrt_sync", "who_is_woken_for_nothing_loses_nothing", 300),
    ("permits_that_came_meanwhile_are_not_taken", "src/sync/sema.c", "if (w->amount <= permits(x)) {", "if (false) {",
     "test_simrt_sync", "who_is_woken_for_nothing_loses_nothing", 3000),
]


def command_for(source):
    """How the build compiled it for the explorer: the words of the command, and the object."""
    with open(os.path.join(BUILD, "compile_commands.json")) as f:
        for c in json.load(f):
            path = os.path.realpath(os.path.join(c["directory"], c["file"]))
            if path == os.path.join(SOURCE, source) and "libsimrt.so.p" in c["output"]:
                return shlex.split(c["command"]), os.path.join(c["directory"], c["output"]), c["file"]
    raise AssertionError(f"{source} is not part of the explorer's library")


def mutant_library(folder, source, old, new):
    with open(os.path.join(SOURCE, source)) as f:
        text = f.read()
    check(text.count(old) == 1, f"{source} does not have once: {old}")
    copy = os.path.join(folder, os.path.basename(source))
    with open(copy, "w") as f:
        f.write(text.replace(old, new))
    words, output, given = command_for(source)
    made = os.path.join(folder, "mutant.o")
    words[words.index("-o") + 1] = made
    words[words.index(given)] = copy
    for flag in ("-MD", "-MQ", "-MF"):
        i = words.index(flag)
        del words[i:i + (1 if flag == "-MD" else 2)]
    sh([w for w in words if w != "-Werror"] + ["-w"], cwd=BUILD)
    others = [o for o in glob.glob(os.path.join(OBJECTS, "*.o"), include_hidden=True)
              if os.path.realpath(o) != os.path.realpath(output)]
    sanitize = [w for w in words if w.startswith("-fsanitize")]
    sh([words[0], "-shared", *sanitize, "-Wl,-z,relro,-z,now", "-o", os.path.join(folder, "libsimrt.so"), made, *others])


@each(MUTANTS, lambda m: m[0])
def mutant_is_found(mutant):
    _, source, old, new, program, name, schedules = mutant
    with tempfile.TemporaryDirectory() as folder:
        mutant_library(folder, source, old, new)
        env = {k: v for k, v in os.environ.items() if not k.startswith("WEFT_SIM_") and k != "WEFT_SEED"}
        env.update(LD_LIBRARY_PATH=folder, WEFT_SIM_SEEDS=str(schedules))
        r = subprocess.run([os.path.join(BUILD, "tests", "simrt", program), name], env=env, timeout=250,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = [line for line in r.stdout.split("\n") if "simrt:" in line]
    check(r.returncode == 1 and found, f"not found in {schedules} schedules:\n{r.stdout[-2000:]}")
    print("#", found[0])


run()
