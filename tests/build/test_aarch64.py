#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_aarch64 - the tree cross-built for aarch64 with -Werror, and the unit suite's programs run under qemu-user: one
case a program. It wants Debian's cross compiler, qemu and Debian's arm64 libraries (tools/setup --cross), and skips
where they cannot be had.

What qemu emulates is the processor; the kernel is the machine's own, and what stands between them is not a kernel:
LEFT_OUT lists cases that ask for what it has not, with the reason. Its memory is as strongly ordered as the host's, so
nothing is shown here about weak orders: that is for docs/design/memory-model.md and ThreadSanitizer.
"""
import errno
import os
import shutil
import subprocess

from tap import Failed, case, check, check_eq, each, run, sh, skip

ROOT = os.environ["WEFT_SOURCE_ROOT"]
QEMU, LIBRARIES, FOLDER = "qemu-aarch64-static", os.path.join(ROOT, "build-aarch64-root"), os.path.join(ROOT, "build-aarch64")
# What leans on the processor, and what goes through the whole library quickly: under a minute in all.
PROGRAMS = ["test_switch", "test_version", "test_cpus", "test_peek", "test_stack", "test_sched", "test_chan", "test_chan_life",
            "test_fair", "test_select", "test_locks", "test_error", "test_panic", "test_fiber", "test_run", "test_diag",
            "test_core_stream", "test_core_topic"]
THREAD = "the emulator's own thread counts as one of the program's, so nothing is called a deadlock"
MAPPINGS = "qemu has no guard regions, and so many stacks with guards by mprotect are over the limit of mappings"
LEFT_OUT = {
    "test_sched": {"global_deadlock_ends_the_process": THREAD, **{f"spawn_join_{n}": MAPPINGS for n in (1, 2, 8)}},
    "test_diag": {"deadlock_prints_every_stack": THREAD, "gdb_unwinds_a_fiber_to_its_entry": "gdb sees the emulator"},
}
prepared = []  # what preparing came to, for all cases the same


def prepare():
    """None, or why there is nothing to run."""
    for command in ("aarch64-linux-gnu-gcc", QEMU):
        if not shutil.which(command):
            return f"{command} is not installed"
    got = subprocess.run([os.path.join(ROOT, "tools", "cross-root")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if got.returncode == 3:
        return got.stdout.strip().split("\n")[-1].removeprefix("cross-root: ")
    check_eq(got.returncode, 0, got.stdout)
    sh([os.path.join(ROOT, "tools", "build"), "aarch64", *(f"tests/unit/{p}" for p in PROGRAMS)], timeout=1200)
    return None


def need_programs():
    if not prepared:
        try:
            prepared.append(prepare())
        except Failed:
            prepared.append(Failed("it was not built: see the first case"))
            raise
    if isinstance(prepared[0], Failed):
        raise prepared[0]
    if prepared[0]:
        skip(prepared[0])


def emulated(program, *arguments, options=()):
    need_programs()
    command = [QEMU, *options, "-L", LIBRARIES, os.path.join(FOLDER, "tests", "unit", program), *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300)


def cases_of(program):
    names = emulated(program, "--list").stdout.split()
    check(names, f"{program} lists no cases")
    left_out = LEFT_OUT.get(program, {})
    for name in left_out:
        check(name in names, f"{program} has no case {name} to leave out")
    return [n for n in names if n not in left_out]


@case
def the_unit_suite_s_programs_compile():
    need_programs()


@each(PROGRAMS, lambda program: program)
def runs_emulated(program):
    names = cases_of(program)
    done = emulated(program, *names)
    lines = done.stdout.split("\n")
    check(done.returncode == 0 and sum(line.startswith("ok ") for line in lines) == len(names), done.stdout[-8000:])
    skipped = [line.partition(" - ")[2] for line in lines if "# SKIP" in line]  # a line of TAP would be taken for ours
    print(f"# {len(names)} cases of aarch64", *skipped, sep="\n# ", flush=True)


@case
def larger_pages_are_refused():
    """A guard would cover its stack (qemu tells the program of what pages it likes)."""
    done = emulated("test_run", "result_and_own_return", options=("-p", "65536"))
    check(done.returncode != 0 and f"{-errno.ENOTSUP}" in done.stdout, done.stdout)


run()
