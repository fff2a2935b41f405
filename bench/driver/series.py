# SPDX-License-Identifier: Apache-2.0
"""series.py - rows, the contenders that answer them, and rounds in which these take turns.

A series is measured together: each round asks every contender once, in an order that turns by one place a round, so
that a machine that grows slower for a while is slower for all. A contender is a function that returns
{figure: value}; a row takes one figure of each. What the rounds gave is reduced to medians; all samples are kept."""
import operator
import statistics
import sys
from dataclasses import dataclass, field

from driver import machine
from driver.process import Failed

OURS, FLOOR = "weft", "floor"
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass
class Row:
    id: str
    title: str
    unit: str
    figure: str = "value"
    # Conditions (sign, factor, of whom): ours <= factor x that one's. `of` None: the factor itself; a tuple: the best of them.
    goal: tuple = ()
    more_is_better: bool = False
    section: str = "runtime"


@dataclass
class Series:
    rows: list
    contenders: dict  # name: function
    first: str = ""  # a contender that begins each round
    notes: list = field(default_factory=list)


def reference(values, of, more_is_better):
    """The value that a condition compares with; None where it was not measured."""
    known = [values[name] for name in ([of] if isinstance(of, str) else of) if name in values]
    return (max if more_is_better else min)(known) if known else None


def words(row):
    """The goal as the table prints it."""
    texts = []
    for sign, factor, of in row.goal:
        whom = "" if of is None else of if isinstance(of, str) else of[0]
        texts.append(f"{sign} {factor:g}" + (f" x {whom}" if of is not None else f" {row.unit}"))
    return ", ".join(texts).replace("< 1 x ", "< ").replace("> 1 x ", "> ")


def judge(row, values):
    """True, False, or None where a condition has nothing to compare with."""
    if OURS not in values or not row.goal:
        return None
    verdicts = []
    for sign, factor, of in row.goal:
        bound = factor if of is None else reference(values, of, row.more_is_better)
        if bound is None:
            verdicts.append(None)
            continue
        bound *= 1 if of is None else factor
        ours = values[OURS]
        if ours == 0:  # nothing is no feat, even beside nothing
            return False if row.more_is_better else None
        verdicts.append(COMPARE[sign](ours, bound))
    return False if False in verdicts else None if None in verdicts else True


def result(row, samples, others, rounds):
    """One entry of bench.json."""
    taken = {name: [s[row.figure] for s in got if row.figure in s] for name, got in samples.items()}
    taken = {name: got for name, got in taken.items() if got}
    medians = {name: statistics.median(got) for name, got in taken.items()}
    return {
        "row": row.id, "title": row.title, "section": row.section, "unit": row.unit,
        "more_is_better": row.more_is_better,
        "ours": medians.get(OURS),
        "peers": {name: v for name, v in medians.items() if name not in (OURS, FLOOR)},
        "floor": medians.get(FLOOR),
        "goal": words(row), "met": judge(row, medians),
        "spread": {name: {"min": min(got), "max": max(got)} for name, got in taken.items()},
        "samples": taken, "rounds": rounds, "others_cores": round(others, 2),
    }


class Progress:
    def __init__(self, total):
        self.total, self.done, self.tty = total, 0, sys.stderr.isatty()

    def step(self, series, number, rounds, name):
        if self.tty:
            print(f"\r\033[K[{self.done + 1}/{self.total}] {series.rows[0].title}: round {number + 1}/{rounds}, {name}",
                  end="", file=sys.stderr, flush=True)

    def end(self, entries):
        self.done += 1
        for e in entries:
            figures = [f"weft {e['ours']:.4g}" if e["ours"] is not None else "weft -"]
            figures += [f"{name} {v:.4g}" for name, v in e["peers"].items()]
            figures += [f"floor {e['floor']:.4g}"] if e["floor"] is not None else []
            verdict = {True: "met", False: "NOT MET", None: ""}[e["met"]]
            print(("\r\033[K" if self.tty else "") + f"[{self.done}/{self.total}] {e['title']} ({e['unit']}): "
                  + ", ".join(figures) + (f"  {verdict}" if verdict else ""), file=sys.stderr, flush=True)


def measure(series, rounds, progress):
    """The series' entries for bench.json."""
    names = list(series.contenders)
    samples = {name: [] for name in names}
    complaints, others = {}, 0.0
    for number in range(rounds):
        turn = number % len(names)
        order = sorted(names[turn:] + names[:turn], key=lambda name: name != series.first)
        look = machine.Others()
        for name in order:
            progress.step(series, number, rounds, name)
            try:
                samples[name].append(series.contenders[name]())
            except Failed as e:
                complaints[name] = str(e)
        others = max(others, look.cores())
    entries = [result(row, samples, others, rounds) for row in series.rows]
    for e in entries:
        if complaints:
            e["failures"] = complaints
    if series.notes:
        entries[0]["details"] = series.notes
    progress.end(entries)
    for name, why in complaints.items():
        print(f"bench: {series.rows[0].title}: {name}: {why}", file=sys.stderr)
    return entries
