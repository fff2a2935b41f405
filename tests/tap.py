# SPDX-License-Identifier: Apache-2.0
"""tap.py - test.h's counterpart for tests that are Python scripts: cases, checks, skips, TAP.

    from tap import case, check, run, skip, sh

    @case
    def a_thing_holds():
        check(1 + 1 == 2, "arithmetic")

    run()

A script under tests/FOLDER finds this file by the PYTHONPATH that tests/meson.build sets. `PROG NAME`
runs single cases, `PROG --list` names them. sh() runs a command and fails the case if it fails.
"""
import subprocess
import sys
import traceback

CASES = []


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def case(fn):
    CASES.append((fn.__name__, fn))
    return fn


def each(items, name):
    """A case for each item: @each(list, lambda item: "name_of_it")."""
    def deco(fn):
        for item in items:
            CASES.append((name(item), lambda item=item: fn(item)))
        return fn
    return deco


def check(condition, message="check failed"):
    if not condition:
        raise Failed(message)


def check_eq(got, want, what=""):
    if got != want:
        raise Failed(f"{what}\n  got  {got!r}\n  want {want!r}")


def skip(reason):
    raise Skipped(reason)


def sh(command, **kw):
    """Runs a command (list) and returns its standard output; the case fails with its output if it does."""
    kw.setdefault("timeout", 600)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def run():
    wanted = [a for a in sys.argv[1:] if not a.startswith("--")]
    if "--list" in sys.argv:
        print("\n".join(n for n, _ in CASES))
        sys.exit(0)
    chosen = [(n, f) for n, f in CASES if not wanted or n in wanted]
    print(f"TAP version 13\n1..{len(chosen)}", flush=True)
    failed = 0
    for number, (name, fn) in enumerate(chosen, 1):
        try:
            fn()
            print(f"ok {number} - {name}", flush=True)
            continue
        except Skipped as e:
            print(f"ok {number} - {name} # SKIP {e}", flush=True)
            continue
        except Failed as e:
            detail = str(e)
        except Exception:
            detail = traceback.format_exc()
        failed += 1
        print("\n".join("# " + line for line in detail.rstrip().split("\n")[-200:]))
        print(f"not ok {number} - {name}", flush=True)
    sys.exit(1 if failed else 0)
