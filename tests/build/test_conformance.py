#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_conformance.py - docs/conformance.md and the tree say the same: each demand has its tests, each test its demand.

Programs of this build are asked for their cases (--list). Those that only a build for ThreadSanitizer has are looked up
in their source. On how many workers a case runs is seen by its name (name_1, name_2, name_8: tests/rig.h) or by the
macro that it consists of (ON_WORKERS: tests/unit/sync/sync_test.h)."""
import json
import os
import re

from tap import case, check, check_eq, run, sh

ROOT, BUILD = os.environ["WEFT_SOURCE_ROOT"], os.environ["WEFT_BUILD_ROOT"]
IDS = [f"C{n:02}" for n in range(1, 29)] + [f"R{n:02}" for n in range(1, 12)]
NOT_OFFERED = ["C18"]
ROW = re.compile(r"\| ([CR]\d\d) \| (.+?) \| (.+?) \| (.+?) \|$")
HAS_ID = re.compile(r"[CR]\d\d_")


def rows():
    """(id, {program: [case]}, workers) of each line of the table."""
    with open(os.path.join(ROOT, "docs", "conformance.md"), encoding="utf-8") as f:
        for line in f:
            m = ROW.match(line)
            if m:
                groups = [] if m[3] == "not offered" else [g.split(": ") for g in m[3].split("; ")]
                yield m[1], {program: names.split(", ") for program, names in groups}, m[4]


def sources():
    """Path of each test program's source, by program."""
    found = {}
    for folder in ("unit", "sim"):
        for where, _, files in os.walk(os.path.join(ROOT, "tests", folder)):
            found.update({f[:-2]: os.path.join(where, f) for f in files if f.startswith("test_") and f.endswith(".c")})
    return found


def text_of(program):
    with open(sources()[program], encoding="utf-8") as f:
        return f.read()


def registered():
    """Command of each test of this build, by name."""
    with open(os.path.join(BUILD, "meson-info", "intro-tests.json"), encoding="utf-8") as f:
        return {t["name"]: t["cmd"] for t in json.load(f)}


def only_with_tsan(program):
    """Whether the folder's list has the program inside the condition for that build."""
    with open(os.path.join(os.path.dirname(sources()[program]), "meson.build"), encoding="utf-8") as f:
        return re.search(rf"^if .*'thread'.*\n  unit_tests \+= \[.*'{program}'", f.read(), re.M) is not None


def cases_of(program):
    commands = registered()
    if program in commands:
        return sh([*commands[program], "--list"]).split()
    check(only_with_tsan(program), f"{program} is not registered")
    return labelled_in(text_of(program))


def labelled_in(text):
    """What the macros of test_race.c and test_race_ctx.c make of their arguments."""
    made = [f"{kind.lower()}_{name}" for kind, name in re.findall(r"^(ORDERED|RACING)\((\w+)", text, re.M)]
    return made + [f"racing_handle_and_{name}" for name in re.findall(r"^HANDLE\((\w+)", text, re.M)]


def workers_of(name, cases, text):
    """Where the case of that name runs, as the table says it; None: there is no such case."""
    on = [n for n in ("1", "2", "8") if f"{name}_{n}" in cases]
    if on:
        return " ".join(on)
    if name not in cases:
        return None
    body = re.search(rf"^TEST\({name}\)\n{{\n(.*?)^}}", text, re.M | re.S)
    return "1 2 8" if body and "ON_WORKERS(" in body[1] else "none"


@case
def every_demand_has_a_row():
    check_eq(sorted({row[0] for row in rows()}), IDS)
    check_eq([row[0] for row in rows() if not row[1]], NOT_OFFERED)


@case
def every_case_is_there_and_runs_where_it_says():
    complaints = []
    for demand, groups, workers in rows():
        for program, names in groups.items():
            cases, text = cases_of(program), text_of(program)
            for name in names:
                runs_on = workers_of(name, cases, text)
                if name.startswith(("ordered_", "racing_")):
                    good = runs_on and demand[0] == "R" and workers == "tsan: 1 2"
                elif workers == "sim":
                    good = runs_on and "weft_sim_run(" in text and name.startswith(demand)
                else:
                    good = runs_on == workers and name.startswith(demand)
                if not good:
                    complaints.append(f"{demand}: {program}/{name} runs on {runs_on}, the table says {workers}")
    check(not complaints, "\n".join(complaints))


@case
def every_case_with_an_id_has_its_row():
    told = {(program, name) for _, groups, _ in rows() for program, names in groups.items() for name in names}
    commands = registered()
    forgotten = []
    for program in sorted(set(sources()) & set(commands)):
        if not HAS_ID.search(text_of(program)):
            continue
        for name in cases_of(program):
            if HAS_ID.match(name) and not {(program, name), (program, re.sub(r"_[128]$", "", name))} & told:
                forgotten.append(f"{program}/{name}")
    check(not forgotten, "not in docs/conformance.md: " + ", ".join(forgotten))


@case
def every_race_has_its_row():
    told = {(program, name) for demand, groups, _ in rows() if demand[0] == "R"
            for program, names in groups.items() for name in names}
    kit = {"test_race": labelled_in(text_of("test_race"))}
    # What is no channel, lock or waitgroup is not among Go's demands.
    own = re.compile(r"ordered_(sema|sema_late|barrier|cond|once|flight)$")
    forgotten = [f"{p}/{n}" for p, names in kit.items() for n in names if (p, n) not in told and not own.match(n)]
    check(not forgotten, "not in docs/conformance.md: " + ", ".join(forgotten))


@case
def the_check_sees_what_is_wrong():
    text = "TEST(C01_a)\n{\n    ON_WORKERS(a);\n}\n\nTEST(C01_b)\n{\n    run_on(2, b, NULL);\n}\n"
    check_eq([workers_of(n, ["C01_a", "C01_b", "C01_c_1", "C01_c_2"], text) for n in ("C01_a", "C01_b", "C01_c", "C01_d")],
             ["1 2 8", "none", "1 2", None])
    check_eq(labelled_in("ORDERED(a, , b)\nRACING(c)\n{\nHANDLE(send, x)\n#define HANDLE(name)\n"),
             ["ordered_a", "racing_c", "racing_handle_and_send"])


run()
