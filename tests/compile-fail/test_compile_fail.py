#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_compile_fail - wrong programs do not compile, without -Werror, and their right twins do.

Each .c file in this folder is a family of pairs. Its comments name the wrong ones:

    // FAIL 1: incompatible
    // FAIL 2 gcc: assignment to .int .*. from
    #if FAIL == 1
        weft_send(c, "text");
    #elif ...
    #else
        weft_send(c, 1);
    #endif

Compiled with -DFAIL=n (no warning options at all) a wrong one must end in an error whose text matches the
pattern (a regular expression; `gcc` or `clang` in front of the colon gives it for one compiler only). With
-DFAIL=0, and -Wall -Wextra -Wconversion -Werror, the whole file must compile."""
import glob
import os
import re
import shutil
import subprocess

from tap import CASES, check, run, sh, skip

ROOT = os.environ["WEFT_SOURCE_ROOT"]
FOLDER = os.path.dirname(os.path.abspath(__file__))
COMPILERS = ("gcc", "clang")


def command(compiler, path, number, *more):
    return [compiler, "-std=gnu17", "-fsyntax-only", "-I", os.path.join(ROOT, "include"), f"-DFAIL={number}", *more, path]


def compiles(compiler, path):
    if not shutil.which(compiler):
        skip(f"{compiler} is not installed")
    sh(command(compiler, path, 0, "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"))


def fails(compiler, path, number, pattern):
    if not shutil.which(compiler):
        skip(f"{compiler} is not installed")
    done = subprocess.run(command(compiler, path, number), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(done.returncode != 0, f"FAIL={number} compiles")
    errors = "\n".join(line for line in done.stdout.split("\n") if "error:" in line)
    check(re.search(pattern, errors), f"FAIL={number}: no error matches /{pattern}/:\n{done.stdout}")


for path in sorted(glob.glob(os.path.join(FOLDER, "*.c"))):
    name = os.path.basename(path)
    with open(path, encoding="utf-8") as f:
        wrong = re.findall(r"^// FAIL (\d+)(?: (gcc|clang))?: (.*)$", f.read(), re.M)
    for compiler in COMPILERS:
        CASES.append((f"{name} right twins by {compiler}", lambda c=compiler, p=path: compiles(c, p)))
        for number, only, pattern in wrong:
            if only in ("", compiler):
                CASES.append((f"{name} {number} by {compiler}",
                              lambda c=compiler, p=path, n=number, e=pattern.strip(): fails(c, p, n, e)))

run()
