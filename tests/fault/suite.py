#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""suite - the library's unit suite while memory, threads and the like run out: in each case each call for them fails once.

    tests/fault/suite.py [--build DIR] [--quick | --minutes M] [--lasting] [-j JOBS] [--seed S] [PROGRAM[/CASE] ...]

  --build DIR   where the programs are: DIR/tests/fault/faulted (build)
  --quick       one failure for each place that calls, in all programs together
  --most N      failures in a case; where there are more calls, the places first, the others by lot (400)
  --minutes M   begins no case after that
  --lasting     not one call fails, but that one and all after it
  --tap         as a test: quick, or, where WEFT_STRESS_SECONDS says how many, for so many minutes in each way
  -j JOBS       programs at a time (2)
  PROGRAM       only these; shell patterns

A case that was written for success may end by a failed check: the call said that there was no memory. What may not happen,
and fails this run: a crash, a hang, a report of a sanitizer, an end by the runtime that is not of the few documented ones
(DOCUMENTED), memory leaked. The last line counts how the runs ended. Exit status: 0 none of that happened, 1 something did.

How it works: faults.h."""
import argparse
import bisect
import collections
import fnmatch
import glob
import mmap
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KINDS = ["heap", "map", "guard", "thread", "fd", "watch", "timer", "ring"]
NOTES, FRAMES = 1 << 16, 24
HEAD = struct.Struct(f"<qqqqq{FRAMES}Q")  # target, lasts, calls, hit, kind, frames: struct faults
NOTE = struct.Struct("<4I")  # kind, and three return addresses: struct fault_note
HANG_S = 60

# Where the interface leaves no way to return an error.
DOCUMENTED = re.compile(r"weft: fatal: no memory for a thread's record")
# Cases that wait for something which does not come when a peer was turned away, or do what the library went on without:
# "program/case", and the function that the failed call was under. There a run that does not end, or ends by the case's own
# signal, is none of the library's.
OF_THE_CASE = [
    ("test_cold/*", "chunk_new"),                            # that chunk's stacks stay where they are, the case waits for them
    ("test_diag/sigquit_*", "copy"),                         # the case waits for the name that there was no memory for
    ("test_diag/sigquit_*", "quit_install*"),                # no thread for dumps: the signal has its usual effect
    ("test_offload/two_jobs_*", "weft__offload"),            # one thread less than the two ends of a FIFO need
    ("test_http_hangup/*", "server_fiber"),                  # a connection is closed unserved, the case waits for its handler
    ("test_http_hangup/*", "conn_fiber"),
    ("test_http_server/stopping_*", "server_fiber"),
    ("test_http_server/stopping_*", "conn_fiber"),
    ("test_loop_listen/accept_pauses_*", "run_clients"),     # the clients' process has ended by a failed check
    ("test_loop_listen/socket_file_comes_and_goes_*", "*"),  # the look whether somebody listens was not made
]
# Long before anything of theirs can fail; the whole run has them.
NOT_QUICK = ["test_parkwake", "test_handover", "test_retake", "test_shrink", "test_shrink_model", "test_sched_many", "test_threads",
             "test_cold"]
REPORT = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|ThreadSanitizer")
KILLED = re.compile(r"^# killed by signal (\d+)", re.M)
CHECK = re.compile(r"^# \S+\.[ch]:\d+: .*", re.M)


class Shared:
    """struct faults of faults.h, in a file."""

    def __init__(self, folder):
        self.file = tempfile.NamedTemporaryFile(dir=folder, prefix="faults-")
        self.file.truncate(HEAD.size + NOTE.size * NOTES)
        self.map = mmap.mmap(self.file.fileno(), HEAD.size + NOTE.size * NOTES)

    def arm(self, target, lasts):
        self.map[:HEAD.size] = HEAD.pack(target, lasts, 0, 0, 0, *[0] * FRAMES)

    def state(self):
        target, lasts, calls, hit, kind, *frames = HEAD.unpack(self.map[:HEAD.size])
        return calls, bool(hit), kind, [f for f in frames if f]

    def notes(self):
        calls = min(self.state()[0], NOTES)
        return list(NOTE.iter_unpack(self.map[HEAD.size:HEAD.size + NOTE.size * calls]))

    def close(self):
        self.map.close()
        self.file.close()


def run_case(program, case, shared, target, lasts, leaky=False):
    """Its output. leaky: the case itself loses memory, so nobody looks."""
    shared.arm(target, lasts)
    env = dict(os.environ, WEFT_FAULTS=shared.file.name, WEFT_TEST_TIMEOUT=str(HANG_S))
    env["WEFT_STRESS_SECONDS"] = "1"
    if leaky:
        env["WEFT_FAULTS_LEAKY"] = "1"
    env.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
    process = subprocess.Popen([program, case], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env=env, start_new_session=True)
    try:
        out, _ = process.communicate(timeout=HANG_S + 30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        return out.decode(errors="replace") + "\n# timed out\n"
    return out.decode(errors="replace")


def verdict(out):
    """How a run ended: (class, remark). Classes that begin with "!" must not be."""
    if REPORT.search(out):
        return "!sanitizer", ""
    if re.search(r"^ok 1 .*# SKIP", out, re.M):
        return "skipped", ""
    if re.search(r"^ok 1 ", out, re.M):
        return "went on", ""
    if DOCUMENTED.search(out):
        return "documented end", ""
    if m := CHECK.search(out):  # and that is the end of the case, though a process of its own may keep its output open
        return "told", m[0]
    if "# timed out" in out:
        return "!hang", ""
    if m := KILLED.search(out):
        fatal = re.search(r"^weft: (fatal|panic|deadlock|misuse).*", out, re.M)
        return ("!end by the runtime", fatal[0]) if fatal else ("!crash", f"signal {m[1]}")
    return "told", ""  # a check whose text went where the case had led standard error


def symbols(program, frames):
    done = subprocess.run(["addr2line", "-fpse", program, *[hex(f - 1) for f in frames]], capture_output=True, text=True)
    return "\n".join("#     " + line.replace(ROOT + "/", "") for line in done.stdout.splitlines()[:14])


class Symbols:
    """Names of addresses, by nm: quick, and the same in all programs for what the library did."""

    def __init__(self, program):
        out = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
        table = sorted((int(f[0], 16), f[2]) for f in map(str.split, out.splitlines()) if len(f) == 3 and f[1] in "tTwW")
        self.at, self.names = [a for a, _ in table], [n for _, n in table]

    def name(self, address):
        i = bisect.bisect_right(self.at, address) - 1
        return (self.names[i], address - self.at[i]) if i >= 0 else ("", address)


def unseen(notes, seen, names):
    """Calls from places, three calls deep, that no program before has called from."""
    out = []
    for i, (kind, *site) in enumerate(notes):
        place = (kind, *map(names.name, site))
        if place not in seen:
            seen.add(place)
            out.append(i)
    return out


def chosen(notes, most, draw):
    """Which calls are to fail: of each place the first and the last, then by lot."""
    if len(notes) <= most:
        return list(range(len(notes)))
    first, last = {}, {}
    for i, note in enumerate(notes):
        first.setdefault(note, i)
        last[note] = i
    picks = sorted(set(first.values()) | set(last.values()))
    if len(picks) < most:
        picks = sorted(set(picks) | set(draw.sample(range(len(notes)), most - len(picks))))
    return picks[:most] if len(picks) <= most else sorted(draw.sample(picks, most))


class Suite:
    def __init__(self, o, lasting):
        self.o, self.lasting, self.lock = o, lasting, threading.Lock()
        self.ends, self.kinds = collections.Counter(), collections.Counter()
        self.bad, self.told, self.seen, self.left = [], set(), set(), 0
        self.until = time.monotonic() + o.minutes * 60 if o.minutes else None
        self.folder = tempfile.mkdtemp(prefix="weft-faults-")

    def report(self, program, case, target, end, remark, shared, out):
        _, hit, kind, frames = shared.state()
        name = os.path.basename(program)
        text = [f"# {end[1:]}: {name}/{case}, call {target} ({KINDS[kind] if hit else 'none'}) {remark}"]
        text += [symbols(program, frames)] if frames else []
        text += ["#   " + line.replace("ok ", "ok: ") for line in out.splitlines()[:60]]  # not a result of ours
        with self.lock:
            alike = (end, *frames[:4]) in self.told
            self.told.add((end, *frames[:4]))
            self.bad.append((name, case, target, end))
            print(text[0] if alike else "\n".join(text), flush=True)

    def of_the_case(self, program, case, shared):
        name = f"{os.path.basename(program)}/{case}"
        under = [line.split()[1] for line in symbols(program, shared.state()[3]).splitlines()]
        return any(fnmatch.fnmatch(name, n) and fnmatch.filter(under, f) for n, f in OF_THE_CASE)

    def one(self, program, case, shared, target, leaky):
        out = run_case(program, case, shared, target, self.lasting, leaky)
        end, remark = verdict(out)
        if end in ("!hang", "!crash") and self.of_the_case(program, case, shared):
            end = "ended by what the case does"
        elif end == "!hang":  # a crowded machine, or really one?
            out = run_case(program, case, shared, target, self.lasting, leaky)
            end, remark = verdict(out)
        _, hit, kind, _ = shared.state()
        if not hit:
            end = "not reached" if end[0] != "!" else end
        with self.lock:
            self.ends[end] += 1
            self.kinds[KINDS[kind]] += hit
        if self.o.verbose and end == "told":
            print(f"# told: {os.path.basename(program)}/{case} {target} {KINDS[kind]}: {remark}", flush=True)
        if end[0] == "!":
            self.report(program, case, target, end, remark, shared, out)

    def program(self, program, patterns):
        shared, names, runs = Shared(self.folder), Symbols(program), 0
        draw = random.Random(f"{self.o.seed}{program}")
        cases = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
        for case in cases:
            if patterns and not any(fnmatch.fnmatch(case, p) for p in patterns):
                continue
            if self.until and time.monotonic() > self.until:
                with self.lock:
                    self.left += 1
                continue
            end, _ = verdict(run_case(program, case, shared, -1, 0))
            leaky = end == "!sanitizer"
            if leaky:
                end, _ = verdict(run_case(program, case, shared, -1, 0, leaky))
            if end != "went on":
                print(f"# {os.path.basename(program)}/{case}: {end} with nothing failed, left out", flush=True)
                continue
            with self.lock:
                notes = shared.notes()
                targets = unseen(notes, self.seen, names) if self.o.quick else chosen(notes, self.o.most, draw)
            for target in targets:
                self.one(program, case, shared, target, leaky)
                runs += 1
        shared.close()
        if not self.o.tap:
            print(f"# {os.path.basename(program)}: {runs} runs", flush=True)


def options():
    p = argparse.ArgumentParser(usage=__doc__.split("\n", 2)[2], add_help=True)
    p.add_argument("--build", default="build")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--most", type=int, default=400)
    p.add_argument("--minutes", type=float)
    p.add_argument("--lasting", action="store_true")
    p.add_argument("--tap", action="store_true")
    p.add_argument("--verbose", action="store_true")
    p.add_argument("-j", "--jobs", type=int, default=2)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    p.add_argument("names", nargs="*")
    return p.parse_args()


def programs_of(o):
    """Those that are to run, each with the patterns of its cases (none: all)."""
    out = []
    for path in sorted(glob.glob(os.path.join(o.build, "tests", "fault", "faulted", "test_*"))):
        name = os.path.basename(path)
        if not os.access(path, os.X_OK) or os.path.isdir(path):
            continue
        if o.quick and name in NOT_QUICK and not o.names:
            continue
        hits = [n.partition("/") for n in o.names if fnmatch.fnmatch(name, n.partition("/")[0])]
        if hits or not o.names:
            out.append((path, [h[2] for h in hits if h[2]]))
    return out


def whole(o, lasting):
    """True: nothing happened that may not."""
    suite = Suite(o, int(lasting))
    with ThreadPoolExecutor(o.jobs) as pool:
        for f in [pool.submit(suite.program, *p) for p in programs_of(o)]:
            f.result()
    os.rmdir(suite.folder)
    print(f"# seed {o.seed}; failed: " + ", ".join(f"{n} {k}" for k, n in sorted(suite.kinds.items())))
    if suite.left:
        print(f"# the time is up: {suite.left} cases were left out")
    print("# " + ", ".join(f"{n} {e.lstrip('!')}" for e, n in sorted(suite.ends.items())), flush=True)
    return not suite.bad and bool(suite.ends)


def main():
    o = options()
    if not o.tap:
        return 0 if whole(o, o.lasting) else 1
    seconds = int(os.environ.get("WEFT_STRESS_SECONDS", "0"))
    o.quick, o.minutes = not seconds, seconds or None
    ways = [("each_call_fails_once", False)] + [("all_calls_from_one_on_fail", True)] * bool(seconds)
    print(f"1..{len(ways)}")
    good = True
    for i, (name, lasting) in enumerate(ways, 1):
        good &= (passed := whole(o, lasting))
        print(f"{'ok' if passed else 'not ok'} {i} - {name}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
