#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_options - docs/options.md is true: it names each option of the public headers and each variable of the environment
that the library reads, no others, and the defaults that it tells are those of the headers' comments and of the sources."""
import glob
import os
import re

from tap import case, check, check_eq, run

ROOT = os.environ["WEFT_SOURCE_ROOT"]
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "Mi": 1 << 20, "s": 10**9, "min": 60 * 10**9}
# Where the sources say what the page says in a number: (struct, field): (file, pattern of the number).
CODE = {
    ("weft_run_opts", "max_fibers"): ("src/sched/runtime.c", r"DEFAULT_FIBERS = ([^,}]+)"),
    ("weft_run_opts", "max_threads"): ("src/sched/runtime.c", r"DEFAULT_THREADS = ([^,}]+)"),
    ("weft_run_opts", "stack_bytes"): ("src/sched/runtime.c", r"DEFAULT_STACK = ([^,}]+)"),
    ("weft_run_opts", "drain_ns"): ("src/sched/runtime.c", r"default_drain_ns = (\d+)"),
    ("weft_listen_opts", "backlog"): ("src/io/socket.c", r"DEFAULT_BACKLOG = ([^,}]+)"),
    ("weft_process_opts", "grace_ns"): ("src/io/children.c", r"default_grace_ns = (\d+)"),
    ("weft_loop_opts", "batch"): ("src/io/loop.c", r"o\.batch \? o\.batch : (\d+)"),
    ("weft_loop_listen_opts", "backlog"): ("src/io/loop_listen.c", r"o->backlog : (\d+)"),
    ("weft_http_serve_opts", "read_header_timeout_ns"): ("src/net/http_server.c", r"o->read_header_timeout_ns, ([^)]+)"),
    ("weft_http_serve_opts", "read_timeout_ns"): ("src/net/http_server.c", r"o->read_timeout_ns, ([^)]+)"),
    ("weft_http_serve_opts", "write_timeout_ns"): ("src/net/http_server.c", r"o->write_timeout_ns, ([^)]+)"),
    ("weft_http_serve_opts", "idle_timeout_ns"): ("src/net/http_server.c", r"o->idle_timeout_ns, ([^)]+)"),
    ("weft_http_serve_opts", "drain_ns"): ("src/net/http_server.c", r"o->drain_ns, ([^)]+)"),
    ("weft_http_client_opts", "max_idle"): ("src/net/http_pool.c", r"MAX_IDLE = (\d+)"),
    ("weft_http_client_opts", "idle_timeout_ns"): ("src/net/http_pool.c", r"idle_ns = ([^,;]+)"),
    ("weft_http_client_opts", "continue_timeout_ns"): ("src/net/http_pool.c", r"continue_ns = ([^,;]+)"),
    ("weft_ws_opts", "message_max"): ("src/proto/ws_reader.c", r"DEFAULT_MESSAGE_MAX = ([^,}]+?) *}"),
    ("weft_ws_opts", "write_timeout_ns"): ("src/net/ws_open.c", r"o->write_timeout_ns, ([^)]+)"),
    ("weft_ws_opts", "close_timeout_ns"): ("src/net/ws_open.c", r"o->close_timeout_ns, ([^)]+)"),
    ("weft_sim_opts", "max_steps"): ("src/diag/explore.c", r"o->max_steps : (\d+)"),
    ("weft_sim_opts", "preemptions"): ("src/diag/explore.c", r"o->preemptions : (\d+)"),
    ("weft_sim_opts", "depth"): ("src/diag/explore.c", r"o->depth : (\d+)"),
}


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def rows(section):
    lines = [line for line in section.split("\n") if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in ([c.strip() for c in line.strip("|").split(" | ")] for line in lines)}


def sections():
    """{title: {first column: the other cells}} of the page."""
    parts = re.split(r"^## (.+)$", text("docs/options.md"), flags=re.M)
    return {title: rows(body) for title, body in zip(parts[1::2], parts[2::2])}


def structs():
    """{struct: {field: its comment}} of the public headers."""
    found = {}
    for path in sorted(glob.glob(os.path.join(ROOT, "include", "weft", "*.h"))):
        for name, body in re.findall(r"^typedef struct (weft_\w+_opts) \{\n(.*?)^\} \1;", text(path), re.M | re.S):
            fields = found[name] = {}
            for names, comment in re.findall(r"([^;]+);[ \t]*((?:/\*.*?\*/)?)", re.sub(r"^\s*/\*.*?\*/\n", "", body, flags=re.M | re.S), re.S):
                for one in re.sub(r"/\*.*?\*/", "", names, flags=re.S).split(","):
                    fields[re.findall(r"\w+", one)[-1]] = comment
            del fields["size"]
    return found


def number(words):
    """256 KiB, 1,000,000 or 5 s as a number; None where it is none."""
    m = re.fullmatch(r"([\d,]+) ?(\w*)", words)
    return int(m[1].replace(",", "")) * UNITS[m[2]] if m and m[2] in UNITS else None


def evaluated(c):
    """A constant of the sources: 16 << 20, 10 * WEFT_SEC."""
    c = c.replace("WEFT_SEC", "10**9").replace("WEFT_MIN", "(60 * 10**9)").strip()
    check(re.fullmatch(r"[\d\s*<()]+", c), f"not a number: {c}")
    return eval(c)  # pylint: disable=eval-used # digits, shifts and products


@case
def each_option_of_the_headers_has_its_row():
    page, headers = sections(), structs()
    check_eq(sorted(t for t in page if t.endswith("_opts")), sorted(headers), "structs")
    for name, fields in headers.items():
        check_eq(list(page[name]), list(fields), f"fields of {name}")


@case
def each_variable_that_is_read_has_its_row():
    read = set()
    for path in glob.glob(os.path.join(ROOT, "src", "**", "*.c"), recursive=True):
        read |= set(re.findall(r'(?:getenv|_env)\("(WEFT_\w+)"', text(path)))
    check_eq(sorted(sections()["The environment"]), sorted(read), "variables")


@case
def overrides_are_told_at_both_ends():
    page = sections()
    for variable, (_, does, _) in page["The environment"].items():
        for field in re.findall(r"overrides `(\w+)`", does):
            check_eq(page["weft_run_opts"][field][2], f"`{variable}`", f"environment of {field}")
    for field, cells in page["weft_run_opts"].items():
        if cells[2]:
            check(f"overrides `{field}`" in page["The environment"][cells[2].strip("`")][1], f"{cells[2]} and {field}")


@case
def defaults_are_those_of_the_comments():
    page = sections()
    compared = 0
    for name, fields in structs().items():
        for field, comment in fields.items():
            told = re.search(r"(?:\b0: |\bdefault )([\d,]+(?: (?:KiB|MiB|Mi|min|s)\b)?)", comment)
            if told:
                compared += 1
                check(page[name][field][0].startswith(told[1]), f"{name}.{field}: {page[name][field][0]}, its comment: {comment}")
    check(compared >= 20, f"{compared} comments tell a default")


@case
def defaults_are_those_of_the_sources():
    page = sections()
    for (name, field), (path, pattern) in CODE.items():
        found = re.search(pattern, text(path))
        check(found, f"{path}: no {pattern}")
        check_eq(number(page[name][field][0]), evaluated(found[1]), f"{name}.{field}")


run()
