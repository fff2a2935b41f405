#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_mutate - tools/mutate makes the mistakes that it says and no others, tells a killed mutant from one that is
equivalent and one that survives, and leaves nothing behind in the tree.

It takes the right objects from the build at hand, so that one source is compiled, a few times over."""
import json
import os
import subprocess
import sys
import tempfile

from tap import case, check, check_eq, run, sh

ROOT, BUILD = os.environ["WEFT_SOURCE_ROOT"], os.environ["WEFT_BUILD_ROOT"]
TOOL = os.path.join(ROOT, "tools", "mutate")
sys.path.insert(0, os.path.join(ROOT, "tools"))
import mutants  # noqa: E402

FLIGHT, ONCE = "src/sync/flight.c", "src/sync/once.c"


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def chosen(path, kind, was):
    """The first mutant of this kind that changes this text."""
    whole = text(path)
    return next(m for m in mutants.find(path, whole) if m.kind == kind and whole[m.start:m.end] == was)


def mistakes(body, head="int f(int a)"):
    """{(kind, line): [the line with the mistake]} in a function with this body."""
    whole = f"{head}\n{{\n{body}}}\n"
    found = {}
    for m in mutants.find("src/sync/a.c", whole):
        new = m.patched(whole)
        check_eq(new.count("\n"), whole.count("\n"), f"lines after {m.name}")
        found.setdefault((m.kind, m.line - 2), []).append(new.split("\n")[m.line - 1].strip())
    return found


@case
def makes_each_kind_of_mistake():
    check_eq(mistakes("    at_store(&x, 1);\n"), {("weaken", 1): ["at_store_rel(&x, 1);", "at_store_rlx(&x, 1);"], ("drop", 1): ["(void)0;"]})
    check_eq(mistakes("    at_fence();\n"), {("weaken", 1): ["at_compiler_fence();"], ("drop", 1): ["(void)0;"]})
    got = mistakes("    while (a && at_load(&x))\n        g(a);\n")
    check_eq(got["recheck", 1], ["if (a && at_load(&x))", "while (at_load(&x))", "while (a)"])
    check_eq(got["call", 2], ["(void)0;"])
    check_eq(mistakes("    if (a < 3)\n        b = a;\n"), {
        ("compare", 1): ["if (a <= 3)", "if (a >= 3)"], ("force", 1): ["if ((a < 3) && 0)", "if ((a < 3) || 1)"]})
    check_eq(mistakes("    weft__lock(&l, R);\n    if (at_load(&x))\n        return -1;\n")["recheck", 2], ["if ((at_load(&x)) && 0)"])
    check_eq(mistakes("    b = 1;\n    g(b);\n")["swap", 1], ["g(b);"])
    check_eq([k for k in mistakes("    b = 1;\n    c = 2;\n") if k[0] == "swap"], [], "the order of these means nothing")
    for head, was, new in (("int f(void)", "rc", "-(rc)"), ("bool f(void)", "rc", "!(rc)"), ("int f(void)", "0", "-5"),
                           ("char *f(void)", "rc", "((void)(rc), NULL)")):
        check_eq(mistakes(f"    return {was};\n", head), {("result", 1): [f"return {new};"]})
    check("at_store_rlx(p_, o_ + (1)); o_; })" in mistakes("    a = at_add(&x, 1);\n")["tear", 1][0], "the add in two")


@case
def leaves_assertions_and_hints_alone():
    check_eq(mistakes("    WEFT_ASSERT(a == at_load(&x));\n    weft__cpu_pause();\n    int n = 3;\n    /* a == b; */\n"), {})


@case
def the_sequence_is_repeatable_and_even():
    files = {p: text(p) for p in (FLIGHT, ONCE, "src/sync/sema.c")}
    names = [m.name for m in mutants.draw(files, 7)]
    check_eq(names, [m.name for m in mutants.draw(files, 7)])
    check(names != [m.name for m in mutants.draw(files, 8)], "another seed, the same sequence")
    check_eq(len(names), len(set(names)))
    check_eq(sorted({sum(n.startswith(p) for n in names[:30]) for p in files}), [10], "spread over the files")


def tree():
    return {os.path.join(d, n): os.stat(os.path.join(d, n)).st_mtime_ns
            for top in ("src", "include", "tools", "tests") for d, _, ns in os.walk(os.path.join(ROOT, top)) for n in ns}


@case
def judges():
    killed = chosen(FLIGHT, "call", "weft__ready_all(&claimed);")
    same = chosen(ONCE, "weaken", "at_load(&x->state)")
    hidden = chosen(FLIGHT, "swap", "w->fiber->wake_result = 1;\n        weft__list_push_back(&claimed, &w->link);")
    before = tree()
    with tempfile.TemporaryDirectory() as folder:
        command = [TOOL, "run", "--build", folder, "--base", BUILD, "--rounds", "1", "--suites", "unit", "--programs", "test_flight",
                   "--files", FLIGHT, "--files", ONCE]
        sh(command + ["--only", killed.name, same.name, hidden.name])
        with open(os.path.join(folder, "results.json"), encoding="utf-8") as f:
            results = json.load(f)
        check_eq(results[killed.name]["suites"]["unit"][0], "test_flight")
        check_eq(results[same.name]["void"], "equivalent")
        check_eq(results[hidden.name]["suites"], {"unit": None}, "both under one lock")
        shown = sh([TOOL, "show", "--build", folder, "--files", FLIGHT, "--files", ONCE, killed.name])
        check("-    weft__ready_all(&claimed);\n+    (void)0;\n" in shown and "killed by unit/test_flight/" in shown, shown)
        report = sh([TOOL, "report", "--build", folder, "--files", FLIGHT, "--files", ONCE])
        check("2 mutants, " in report and "1 with the same object code" in report, report)
        left = [n for n in os.listdir(folder) if n.startswith("work-")]
        check_eq(left, [], "left in the build folder")
    check_eq(tree(), before, "the tree")


@case
def a_build_that_does_not_pass_is_told():
    """Nothing can be measured with programs that fail anyway."""
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "tests", "unit", "test_flight")
        for part in ("meson-info", "tests/unit"):
            os.makedirs(os.path.join(folder, part))
        with open(os.path.join(folder, "meson-info", "intro-tests.json"), "w", encoding="utf-8") as f:
            json.dump([{"cmd": [program], "name": "test_flight", "protocol": "tap"}], f)
        with open(os.path.join(folder, "build.ninja"), "w", encoding="utf-8") as f:
            f.write("rule link\n command = false -o $out\nbuild tests/unit/test_flight: link\n")
        with open(program, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\necho 1..2\necho ok 1 - good\necho not ok 2 - bad\n")
        os.chmod(program, 0o755)
        done = subprocess.run([TOOL, "baseline", "--build", folder, "--base", folder, "--rounds", "1"], stdout=subprocess.PIPE,
                              text=True, check=False)
        check_eq(done.returncode, 1, done.stdout)
        check("unit/test_flight/bad fails" in done.stdout and "nothing can be measured" in done.stdout, done.stdout)


run()
