# SPDX-License-Identifier: Apache-2.0
"""table.py - bench.json as a table: for the terminal, and as Markdown for the README."""
from driver.peers import CENTRIFUGE, GO, NGINX, RUNTIMES

VERDICT = {True: "yes", False: "**no**", None: ""}


def number(v):
    if v is None:
        return ""
    return f"{v:,.0f}" if abs(v) >= 100 else f"{v:.1f}" if abs(v) >= 10 else f"{v:.2f}"


def spread(entry, name, value):
    """The median, and behind it from where to where the rounds went."""
    if value is None:
        return ""
    s = entry["spread"][name]
    return number(value) if entry["rounds"] < 2 else f"{number(value)} ({number(s['min'])}–{number(s['max'])})"


def ratio(ours, theirs):
    return f"{ours / theirs:.2f}" if ours is not None and theirs else ""


def line(entry, columns):
    ours, floor = entry["ours"], entry["floor"]
    cells = [entry["title"], entry["unit"], spread(entry, "weft", ours)]
    for name in columns:
        theirs = entry["peers"].get(name)
        cells += [spread(entry, name, theirs), ratio(ours, theirs)]
    return cells + [spread(entry, "floor", floor), ratio(ours, floor), entry["goal"], VERDICT[entry["met"]]]


SECTIONS = (
    ("runtime", "libweft", RUNTIMES),
    ("http", "libweft", (NGINX, GO)),
    ("weftcast", "weftcast", (CENTRIFUGE, CENTRIFUGE + " 5 ms")),
)


def tables(entries):
    """(heading, rows of cells, the first being the columns' names) for each section that has entries."""
    for section, ours, peers in SECTIONS:
        of_it = [e for e in entries if e["section"] == section]
        present = [name for name in peers if any(name in e["peers"] for e in of_it)]
        if not of_it:
            continue
        head = ["", "unit", ours]
        for name in present:
            head += [name, f"{ours} / {name}"]
        yield [head + ["floor", f"{ours} / floor", "goal", "met"]] + [line(e, present) for e in of_it]


def plain(entries):
    out = []
    for rows in tables(entries):
        rows = [[cell.replace("**", "") for cell in row] for row in rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            cells = [c.ljust(w) if i in (0, 1, len(row) - 2) else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))]
            out.append("  ".join(cells).rstrip())
        out.append("")
    return "\n".join(out)


def summary(entries):
    judged = [e for e in entries if e["met"] is not None]
    missed = [e["row"] for e in judged if not e["met"]]
    unknown = [e["row"] for e in entries if e["goal"] and e["met"] is None]
    text = f"{len(judged) - len(missed)} of {len(judged)} goals met"
    text += f"; not met: {', '.join(missed)}" if missed else ""
    return text + (f"; without a peer to compare with: {', '.join(unknown)}" if unknown else "")


def markdown(entries, machine):
    out = ["Measured on: " + "; ".join(f"{what} {value}" for what, value in machine) + ".", ""]
    rounds = sorted({e["rounds"] for e in entries})
    if rounds:
        out += [f"Medians of {' or '.join(map(str, rounds))} interleaved rounds, in brackets the least and the greatest; "
                "docs/performance.md says what each row asks.", ""]
    for rows in tables(entries):
        for i, row in enumerate(rows):
            out.append("| " + " | ".join(row) + " |")
            if i == 0:
                out.append("|---|---|" + "---:|" * (len(row) - 4) + "---|---|")
        out.append("")
    return "\n".join(out) + summary(entries) + ".\n"
