# SPDX-License-Identifier: Apache-2.0
"""machine.py - the machine under measurement: what it is, whether it is quiet, and that one measures at a time."""
import fcntl
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time


def processors():
    """The processors that this process may use; the first is the server's, the last the load generator's."""
    return sorted(os.sched_getaffinity(0))


def first_line(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=20)
        return done.stdout.split("\n")[0].strip()
    except OSError:
        return ""


def read(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except OSError:
        return ""


def description():
    """[(what, value)] for the head of the table."""
    name = re.search(r"^model name\s*:\s*(.+)$", read("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", read("/proc/meminfo"), re.M)
    system = re.search(r'^PRETTY_NAME="(.+)"$', read("/etc/os-release"), re.M)
    virtual = "hypervisor" in read("/proc/cpuinfo")
    found = [
        ("processor", (name[1] if name else platform.processor()) + (" (virtual)" if virtual else "")),
        ("cores", str(len(processors()))),
        ("memory", f"{int(memory[1]) / 1048576:.0f} GiB" if memory else ""),
        ("system", system[1] if system else ""),
        ("kernel", platform.release()),
        ("compiler", first_line(os.environ.get("CC", "cc"), "--version")),
        ("Go", first_line("go", "version").replace("go version ", "")),
        ("Rust", first_line("rustc", "--version")),
        ("congestion control", read("/proc/sys/net/ipv4/tcp_congestion_control").strip()),
    ]
    return [(what, value) for what, value in found if value]


class Lock:
    """Held while measuring: two that measure beside each other measure each other."""

    def __enter__(self):
        self.file = open(os.path.join(tempfile.gettempdir(), "weft-bench.lock"), "a", encoding="utf-8")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("bench: another one is measuring, waiting for its end", file=sys.stderr)
            fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self.file.close()


def busy_s():
    """Seconds that all processors have been busy with programs, or kept from us by the host. Interrupts are left
    out: those of the network belong to whom we measure, and are not in that process's own time."""
    word = read("/proc/stat").split("\n")[0].split()
    user, nice, system, steal = (int(word[i]) for i in (1, 2, 3, 8))
    return (user + nice + system + steal) / os.sysconf("SC_CLK_TCK")


def own_s():
    """Seconds of this process and of all its ended children."""
    return sum(r.ru_utime + r.ru_stime for r in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


class Others:
    """How many cores others kept busy between two looks."""

    def __init__(self):
        self.begin = (time.monotonic(), busy_s(), own_s())

    def cores(self):
        wall, busy, own = time.monotonic() - self.begin[0], busy_s() - self.begin[1], own_s() - self.begin[2]
        return max(0.0, (busy - own) / wall) if wall > 0 else 0.0


def warn_if_busy():
    look = Others()
    time.sleep(1)
    cores = look.cores()
    if cores > 0.1:
        load = " ".join(read("/proc/loadavg").split()[:3])
        print(f"bench: WARNING: others keep {cores:.1f} cores busy (load average {load}): figures will tell little",
              file=sys.stderr)
    return cores


def raise_fd_limit():
    """Servers and generators inherit it; returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
