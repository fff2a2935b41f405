#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_tidy - the tree passes tools/tidy, rule by rule; and tidy finds each fault planted in a small tree."""
import json
import os
import re
import shutil
import subprocess
import tempfile

from tap import case, check, check_eq, each, run, sh

ROOT = os.environ["WEFT_SOURCE_ROOT"]
TIDY = os.path.join(ROOT, "tools", "tidy")
RULES = ["include", "arch", "atomics", "block", "head", "basename", "length", "seam", "words", "format"]
HEAD = "// SPDX-License-Identifier: Apache-2.0\n/* essay */\n"


@each(RULES, lambda rule: f"the_tree_passes_{rule}")
def passes(rule):
    if rule == "format":
        check(shutil.which("clang-format"), "clang-format is not installed (tools/setup --test)")
    done = subprocess.run([TIDY, "--rules", rule], stdout=subprocess.PIPE, text=True)
    check(done.returncode == 0, done.stdout)


def findings(files, rule):
    """What tidy says about a tree of these files: {path: text}."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as f:
                f.write(text)
        shutil.copy(os.path.join(ROOT, ".clang-format"), root)
        done = subprocess.run([TIDY, "--root", root, "--rules", rule, "--json"], stdout=subprocess.PIPE, text=True)
        return [(f["path"], f["line"]) for f in json.loads(done.stdout)]


def finds(rule, text, lines, path="src/base/a.c", **more):
    check_eq(findings({path: text, **more}, rule), [(path, n) for n in lines], f"{rule} in:\n{text}")


@case
def finds_an_upward_include():
    finds("include", HEAD + '#include "base/b.h"\n#include "sched/c.h"\n#include <weft/chan.h>\n', [4])
    finds("include", HEAD + '#include "base/b.h"\n#include "proto/c.h"\n', [], path="src/net/a.c")
    finds("include", HEAD + '#include "../base/b.h"\n', [3])
    finds("include", HEAD + '#include "sched/c.h"\n', [3], path="include/weft/a.h")


@case
def finds_weftcast_reaching_into_the_library():
    with_internal = {"src/base/lock.h": HEAD, "cast/hub/own.h": HEAD}
    check_eq(findings({"cast/a.c": HEAD + '#include "base/lock.h"\n#include "hub/own.h"\n', **with_internal}, "include"),
             [("cast/a.c", 3)])


@case
def finds_the_processor_outside_arch():
    for text in ('#ifdef __x86_64__\n', 'x = u->uc_mcontext.gregs[REG_RIP];\n', '#include <immintrin.h>\n', 'x = __rdtsc();\n',
                 '__asm__ volatile("pause");\n', 'asm volatile("mov %%rsp, %0" : "=r"(x));\n', '__builtin_ia32_pause();\n'):
        finds("arch", HEAD + text, [3])
        finds("arch", HEAD + text, [3], path="cast/a.c")
        for path in ("src/arch/x86_64/a.c", "tests/a.c", "bench/a.c", "fuzz/a.c"):
            finds("arch", HEAD + text, [], path=path)
    finds("arch", HEAD + '__asm__ volatile("" ::: "memory");\n/* rbp, __x86_64__ in prose */\nweft__cpu_pause();\n', [])


@case
def finds_untagged_and_lonely_atomics():
    finds("atomics", HEAD + "x = at_load_acq(&y);\n", [3])
    finds("atomics", HEAD + "x = atomic_load_explicit(&y, memory_order_relaxed);\n", [3])
    finds("atomics", HEAD + "x = at_load_acq(&y); /* [mo:one] */\n", [3])
    finds("atomics", HEAD + "x = at_load_acq(&y); /* [mo:two] */\nat_store_rel(&y, 1); /* [mo:two] */\n", [])
    finds("atomics", HEAD + "x = at_load_rlx(&y); /* [mo:alone: a counter for humans] */\n", [])
    finds("atomics", HEAD + "/* [mo:alone: a counter for humans] */\nx = at_load_rlx(&y);\n", [])
    finds("atomics", HEAD + "x = at_load_rlx(&y); /* [mo:alone:] */\n", [3])
    finds("atomics", HEAD + "/* at_load_acq(&y) in prose */\n", [])
    pair = HEAD + "x = at_load_acq(&y); /* [mo:two] */\nat_store_rel(&y, 1); /* [mo:two] */\n"
    doc = "docs/design/memory-model.md"
    row = "\n## Litmus tests\n\n| [mo:two] | `tests/t.c` |\n"
    check_eq(findings({"src/a.c": pair, doc: "[mo:two] explained\n" + row, "tests/t.c": HEAD}, "atomics"), [])
    check_eq(findings({"src/a.c": pair, doc: "[mo:two] explained\n" + row}, "atomics"), [(doc, 1)])
    check_eq(findings({"src/a.c": pair, doc: "[mo:two] explained\n\n| [mo:two] |\n"}, "atomics"), [("src/a.c", 3)])
    check_eq(findings({"src/a.c": pair, doc: "silence\n" + row, "tests/t.c": HEAD}, "atomics"), [("src/a.c", 3)])
    untagged = HEAD + "x = atomic_load_explicit(&y, memory_order_relaxed);\n"
    for path in ("src/a.c", "cast/core/a.c", "include/weft/a.h"):
        check_eq(findings({path: untagged}, "atomics"), [(path, 3)])


@case
def finds_missing_blocks_and_sections():
    path = "include/weft/a.h"
    whole = ("/**\n * weft_a - does.\n * @n: how often\n *\n * Returns n.\n * Blocks:    never.\n * Callable:  anywhere.\n"
             " * Since 0.1.\n */\n")
    finds("block", HEAD + whole + "WEFT_API int weft_a(int n);\n", [], path=path)
    finds("block", HEAD + whole + "int weft_a(int n);\n", [12], path=path)
    finds("block", HEAD + "WEFT_API int weft_a(int n);\n", [3], path=path)
    finds("block", HEAD + whole.replace(" * Blocks:    never.\n", "") + "WEFT_API int weft_a(int n);\n", [3], path=path)
    finds("block", HEAD + whole + "WEFT_API int weft_a(int count);\n", [3], path=path)


@case
def finds_a_missing_head():
    finds("head", "/* essay */\nint x;\n", [1])
    finds("head", "// SPDX-License-Identifier: Apache-2.0\nint x;\n", [2])
    finds("head", "#!/bin/sh\necho\n", [1], path="tools/a")


@case
def finds_a_name_used_twice():
    check_eq(findings({"src/base/a.c": HEAD, "src/net/a.c": HEAD, "src/net/a.h": HEAD}, "basename"), [("src/net/a.c", 1)])


@case
def finds_what_is_too_long_and_a_list_that_does_not_shrink():
    long_function = HEAD + "int f(void)\n{\n" + "    x();\n" * 100 + "}\n"
    finds("length", long_function, [3])
    finds("length", HEAD + "int f(void)\n{\n" + "    x();\n" * 90 + "}\n", [])
    finds("length", HEAD + "int x;\n" * 900, [1])
    check_eq(findings({"src/a.c": long_function, "tools/tidy.allowed": "src/a.c:f 103\n"}, "length"), [])
    check_eq(findings({"src/a.c": long_function, "tools/tidy.allowed": "src/a.c:f 110\n"}, "length"), [("tools/tidy.allowed", 1)])
    check_eq(findings({"src/a.c": long_function, "tools/tidy.allowed": "src/a.c:f 102\n"}, "length"), [("src/a.c", 3)])
    check_eq(findings({"src/a.c": HEAD, "tools/tidy.allowed": "src/a.c:f 102\n"}, "length"), [("tools/tidy.allowed", 1)])


@case
def finds_what_goes_round_a_seam():
    code = "void f(void)\n{\n    close(3);\n}\n"
    finds("seam", HEAD + code, [5], path="src/io/x.c")
    finds("seam", HEAD + code, [], path="src/diag/x.c")
    finds("seam", HEAD + code.replace("close(3)", "weft_close(3)"), [], path="src/io/x.c")
    finds("seam", HEAD + code.replace("close(3)", "b->close(loop)"), [], path="src/io/x.c")
    finds("seam", HEAD + code.replace("close(3)", "/* close(3) */ g()"), [], path="src/io/x.c")
    finds("seam", HEAD + code.replace("close(3)", "io_uring_submit(&r)"), [5], path="src/io/x.c")
    finds("seam", HEAD + code.replace("close(3)", "io_uring_submit(&r)"), [], path="src/io/uring.h")


@case
def finds_words_that_do_not_belong():
    finds("words", HEAD + "/* TO" "DO: later */\n", [3])
    finds("words", HEAD + 'f("/ho' 'me/someone/x");\n', [3])
    finds("words", HEAD + 'f("/api/home/x");\n', [])


@case
def finds_bad_format():
    finds("format", HEAD + "int  x ;\n", [3])
    finds("format", "space \n", [1], path="docs/a.md")


def fixed(text):
    """What tools/tidy --fix makes of a file."""
    with tempfile.TemporaryDirectory() as root:
        path = os.path.join(root, "a.c")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        shutil.copy(os.path.join(ROOT, ".clang-format"), root)
        sh([TIDY, "--root", root, "--fix"])
        with open(path, encoding="utf-8") as f:
            return f.read()


@case
def fix_breaks_comments_and_not_code_that_begins_with_a_star():
    product = "*(0123456789) " * 8 + "+ 0123456789;"  # clang-format breaks it, between its factors
    name = "a_name_that_leaves_no_room_for_the_factor_behind_it_on_this_line_and_is_not_yet_long_enough_ab"
    for code in (f"int f(int x)\n{{\n    return x\n           {product}\n}}\n",
                 f"void f(int *{name})\n{{\n    *{name} = 0123456789;\n}}\n",
                 f"/* {'0123456789 ' * 9}*/\n*({name});\n"):
        after = fixed(HEAD + code)
        words = re.sub(r"/\*.*?\*/", "", after, flags=re.S).split()
        check_eq("".join(words), "".join(re.sub(r"/\*.*?\*/", "", HEAD + code, flags=re.S).split()))
    eight = " ".join(["0123456789"] * 8)
    check_eq(fixed(HEAD + f"/* a\n * {eight} 0123456789 b\n */\n"), HEAD + f"/* a\n * {eight}\n * 0123456789 b\n */\n")


@case
def fix_breaks_long_comments_as_a_person_would():
    word = "0123456789 " * 9
    before = (HEAD + f"/*\n * A1  {word}one two.\n *     three\n *\n * @arg: {word}four\n *       five\n */\n"
              f"int x; /* {word} six */\n")
    after = (HEAD + f"/*\n * A1  {word[:-12]}\n *     0123456789 one two. three\n *\n * @arg: {word[:-12]}\n"
             f" *       0123456789 four five\n */\n/* {word[:-12]}\n * 0123456789  six */\nint x;\n")
    check_eq(fixed(before), after)


@case
def dependencies_are_documented():
    """The table of docs/dependencies.md and the list of tools/setup name the same packages in the same sets."""
    listed = {tuple(line.split()[:2]) for line in sh([os.path.join(ROOT, "tools", "setup"), "--list"]).splitlines()}
    documented = set()
    with open(os.path.join(ROOT, "docs", "dependencies.md"), encoding="utf-8") as f:
        for line in f:
            cells = [c.strip() for c in line.strip().strip("|").split("|")]
            if line.startswith("| ") and len(cells) == 5 and cells[1].startswith("`"):
                documented.add((cells[1].strip("`"), cells[2]))
    check_eq(sorted(listed - documented), [], "in tools/setup, without a row in docs/dependencies.md")
    check_eq(sorted(documented - listed), [], "in docs/dependencies.md, not in tools/setup")


run()
