#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_compilers - the whole tree compiles with clang and -Werror too (this build is gcc's, with -Werror
set by tools/build), in a folder inside the build folder that is kept between runs."""
import os
import shutil
import subprocess

from tap import case, check, run, sh, skip

ROOT = os.environ["WEFT_SOURCE_ROOT"]
FOLDER = os.path.join(os.environ["WEFT_BUILD_ROOT"], "clang-werror")


@case
def the_tree_compiles_with_clang_and_werror():
    if not shutil.which("clang"):
        skip("clang is not installed")
    if not os.path.exists(os.path.join(FOLDER, "build.ninja")):
        env = dict(os.environ, CC="clang", CXX="clang++")
        sh(["meson", "setup", FOLDER, ROOT, "-Dwerror=true"], env=env)
    done = subprocess.run(["ninja", "-C", FOLDER, "-k", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wrong = done.stdout[max(0, done.stdout.find("FAILED: ")):].split("\n")
    check(done.returncode == 0, "\n".join(line for line in wrong if not line.startswith("[")))


run()
