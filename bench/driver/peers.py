# SPDX-License-Identifier: Apache-2.0
"""peers.py - builds the programs of bench/peers where their tool chain is found; says what is missing otherwise."""
import os
import shutil
import subprocess
import sys

from driver.process import last_line

GO, TOKIO, CENTRIFUGE = "go", "tokio", "centrifuge"
BOOST, ST, NGINX = "boost.fiber", "state-threads", "nginx"
RUNTIMES = (GO, TOKIO, BOOST, ST)  # of those the library's rows ask
# A header without which there is no need to try; the Debian package that has it.
HEADERS = {BOOST: ("boost/fiber/all.hpp", "libboost-fiber-dev"), ST: ("st.h", "libst-dev")}


def has_header(tool, header):
    given = f"#include <{header}>\n"
    return subprocess.run([tool, "-E", "-x", "c++" if header.endswith("pp") else "c", "-"], input=given, text=True, check=False,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def build(name, tool, command, folder, program):
    """The path of the built program, or None with a word on the reason."""
    if not shutil.which(tool):
        print(f"bench: no {tool} here, the column `{name}` is left out", file=sys.stderr)
        return None
    if name in HEADERS and not has_header(tool, HEADERS[name][0]):
        print(f"bench: {HEADERS[name][1]} is not installed, the column `{name}` is left out", file=sys.stderr)
        return None
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0 or not os.path.exists(program):
        print(f"bench: the column `{name}` is left out, {tool} could not build it: {last_line(done.stdout)}", file=sys.stderr)
        return None
    return program


def build_all(root, wanted):
    """{name: program} of those that are wanted and could be built, below build/peers."""
    out = os.path.join(root, "build", "peers")
    os.makedirs(out, exist_ok=True)
    jobs = {
        GO: ("go", ["go", "build", "-buildvcs=false", "-o", os.path.join(out, "gopeer"), "."], "go", "gopeer"),
        TOKIO: ("cargo", ["cargo", "build", "--release", "--locked", "--quiet", "--target-dir", os.path.join(out, "tokio")],
                "tokio", "tokio/release/tokiopeer"),
        BOOST: ("c++", ["c++", "-O2", "-o", os.path.join(out, "boostpeer"), "boostpeer.cpp", "-lboost_fiber", "-lboost_context", "-lpthread"],
                "boost", "boostpeer"),
        ST: ("cc", ["cc", "-O2", "-I../..", "-o", os.path.join(out, "stpeer"), "stpeer.c", "-lst"], "st", "stpeer"),
        CENTRIFUGE: ("go", ["go", "build", "-buildvcs=false", "-o", os.path.join(out, "centrifugepeer"), "."], "centrifuge-go", "centrifugepeer"),
    }
    built = {}
    for name in wanted:
        if name == NGINX:  # it is not built here
            path = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
            if path:
                built[name] = path
            else:
                print(f"bench: nginx-light is not installed, the column `{name}` is left out", file=sys.stderr)
            continue
        tool, command, folder, program = jobs[name]
        path = build(name, tool, command, os.path.join(root, "bench", "peers", folder), os.path.join(out, program))
        if path:
            built[name] = path
    return built
