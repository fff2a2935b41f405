#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_examples - runs the example programs given as arguments and compares what they print with the text of
examples/NAME.expected; and holds the programs quoted by README.md and docs/guide.md against the files they name.

A quoted program is a ```c block whose first line is a comment `// examples/NAME.c`: without that line, it must
stand in that file, white space aside."""
import glob
import os
import re
import subprocess
import sys

from tap import CASES, check, check_eq, run

ROOT = os.environ["WEFT_SOURCE_ROOT"]
PROGRAMS = [a for a in sys.argv[1:] if "/" in a]
sys.argv = [sys.argv[0]] + [a for a in sys.argv[1:] if "/" not in a]


def text(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def runs(program):
    done = subprocess.run([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    check(done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}")
    expected = os.path.join(ROOT, "examples", os.path.basename(program) + ".expected")
    if os.path.exists(expected):
        check_eq(done.stdout, text(expected), "what it prints")


def quoted(document):
    found = re.findall(r"^```c\n// (examples/[\w/]+\.c)\n(.*?)^```", text(document), re.M | re.S)
    for path, code in found:
        check(os.path.exists(os.path.join(ROOT, path)), f"{path} is not there")
        check(re.sub(r"\s", "", code) in re.sub(r"\s", "", text(os.path.join(ROOT, path))),
              f"what {os.path.basename(document)} quotes of {path} is not what stands there")


for program in PROGRAMS:
    CASES.append((os.path.basename(program), lambda p=program: runs(p)))
for document in sorted([os.path.join(ROOT, "README.md")] + glob.glob(os.path.join(ROOT, "docs", "*.md"))):
    CASES.append((f"quotes in {os.path.basename(document)}", lambda d=document: quoted(d)))

run()
