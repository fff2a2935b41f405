#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_headers - every public header compiles alone: as C11 and as C++17, with gcc and clang, clean of
warnings, under the flags that strict users have. sugar.h is GNU C by its purpose, and weft.h holds
it: those two are compiled as gnu11, without -pedantic-errors."""
import os
import shutil

from tap import each, run, sh, skip

ROOT = os.environ["WEFT_SOURCE_ROOT"]
FOLDER = os.path.join(ROOT, "include", "weft")
GNU = ("sugar.h", "weft.h")
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wundef", "-Werror"]
HEADERS = sorted(n for n in os.listdir(FOLDER) if n.endswith(".h"))
COMPILERS = [("gcc", "c"), ("clang", "c"), ("g++", "c++"), ("clang++", "c++")]


@each([(h, c) for h in HEADERS for c in COMPILERS], lambda p: f"{p[0]} by {p[1][0]} as {p[1][1]}")
def compiles(pair):
    header, (compiler, language) = pair
    if not shutil.which(compiler):
        skip(f"{compiler} is not installed")
    std = "c++17" if language == "c++" else "gnu11" if header in GNU else "c11"
    pedantic = [] if header in GNU else ["-pedantic-errors"]
    strict = ["-Wstrict-prototypes", "-Wmissing-prototypes"] if language == "c" else ["-Wold-style-cast"]
    source = f"#include <weft/{header}>\n#include <weft/{header}>\nint main(void) {{ return 0; }}\n"
    sh([compiler, f"-std={std}", *pedantic, *WARNINGS, *strict, "-fsyntax-only", "-I",
        os.path.join(ROOT, "include"), "-x", language, "-"], input=source)


run()
