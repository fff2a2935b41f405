# SPDX-License-Identifier: Apache-2.0
"""headers.py - reads the public headers: their essays, their blocks, the functions they declare.

A block is a comment that begins with two stars and whose first line is `name - what it does`; several
names may share one, divided by commas. docs and checks both go through here (tools/man, tools/tidy,
tests/install), so what the manual shows is what the checks saw.

    Header.path, .name       "include/weft/chan.h", "weft/chan.h"
    Header.essay             [lines] of the first comment after the licence line
    Header.blocks            [Block], in order
    Header.functions         {name: line number} of declared functions with external linkage
    Block.names, .summary    ["weft_chan_send"], "put one element into ..."
    Block.params             [(name, text)]; Block.body: [lines] after them, unindented
    Block.line, .prototypes  where it stands; the C text of the declarations that belong to it
"""
import os
import re
from dataclasses import dataclass, field

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TITLE = re.compile(r"^([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)\s+-\s+(.*)$")
PARAM = re.compile(r"^@((?:\w+|\.\.\.)(?:\s*,\s*@?\w+)*):?\s*(.*)$")


@dataclass
class Block:
    names: list
    summary: str
    line: int
    params: list = field(default_factory=list)
    body: list = field(default_factory=list)
    prototypes: list = field(default_factory=list)

    @property
    def text(self):
        return "\n".join(self.body)


@dataclass
class Header:
    path: str
    name: str
    essay: list
    blocks: list
    functions: dict
    declarations: dict


def comment_lines(text):
    lines = []
    for line in text.split("\n"):
        line = re.sub(r"^\s*\* ?", "", line.rstrip(), count=1) if line.strip() != "*" else ""
        lines.append(line)
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def parse_block(text, line):
    lines = comment_lines(text)
    if not lines or not (m := TITLE.match(lines[0].strip())):
        return None
    block = Block([n.strip() for n in m[1].split(",")], m[2].strip(), line)
    rest = lines[1:]
    while rest and rest[0].strip() and not rest[0].startswith("@"):  # the summary may run on
        block.summary += " " + rest.pop(0).strip()
    while rest and (rest[0].startswith("@") or (block.params and rest[0].startswith(" "))):
        if m := PARAM.match(rest[0]):
            block.params.append([m[1].replace("@", ""), m[2].strip()])
        else:
            block.params[-1][1] += " " + rest[0].strip()
        rest.pop(0)
    while rest and not rest[0].strip():
        rest.pop(0)
    block.body = rest
    return block


def blank_comments(text):
    """The text with comments and string contents blanked, every line where it was."""
    def blank(m):
        s = m[0]
        return s if s[0] in "\"'" else re.sub(r"[^\n]", " ", s)
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


def declarations(text):
    """{name: (line, C text)} of function declarations and function-like or other macros."""
    code = blank_comments(text)
    macros = {m[1]: (code.count("\n", 0, m.start()) + 1, m[0].rstrip().rstrip("\\").strip())
              for m in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+([A-Za-z_]\w*)(\([^)\n]*\))?", code, re.M)}
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: re.sub(r"[^\n]", " ", m[0]), code, flags=re.M)
    code = re.sub(r'extern "C" \{', "            ", code)
    for word in ("WEFT_BEGIN_DECLS", "WEFT_END_DECLS"):
        code = code.replace(word, " " * len(word))
    found, depth, start = {}, 0, 0
    for i, ch in enumerate(code):  # top-level statements end at ; or at a body's }
        if ch == "{":
            depth += 1
        elif ch == "}":
            depth -= 1
        if depth == 0 and ch in ";}":
            statement = code[start:i + 1]
            lead = len(statement) - len(statement.lstrip())
            line = code.count("\n", 0, start + lead) + 1
            flat = re.sub(r"\s+", " ", re.sub(r"\{.*\}", "", statement, flags=re.S)).strip().rstrip(";").strip()
            if flat and not flat.startswith(("typedef", "static", "struct {", "enum {")):
                bare = re.sub(r"__attribute__\s*\(\(.*?\)\)\)?|WEFT_(API|MUST_CHECK|NORETURN)\b"
                              r"|WEFT_[A-Z]+\([^()]*\)", "", flat).strip()
                if m := re.match(r"^[\w\s\*]+?\b(\w+) ?\(.*\)$", bare):
                    found[m[1]] = (line, bare + ";")
            start = i + 1
    return found, macros


def read(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    essay, blocks = [], []
    for m in re.finditer(r"/\*.*?\*/", text, re.S):
        line = text.count("\n", 0, m.start()) + 1
        if m[0].startswith("/**") and len(m[0]) > 5:
            if block := parse_block(m[0][3:-2], line):
                blocks.append(block)
        elif not essay and not blocks:
            essay = comment_lines(m[0][2:-2])
    functions, macros = declarations(text)
    for block in blocks:
        for name in block.names:
            if name in functions:
                block.prototypes.append(functions[name][1])
            elif name in macros:
                block.prototypes.append(re.sub(r"^\s*#\s*define\s+", "", macros[name][1]))
    name = "weft/" + os.path.basename(path)
    return Header(path, name, essay, blocks, {n: l for n, (l, _) in functions.items()},
                  {n: d for n, (_, d) in functions.items()})


def read_all(root=ROOT):
    folder = os.path.join(root, "include", "weft")
    return [read(os.path.join(folder, n)) for n in sorted(os.listdir(folder)) if n.endswith(".h")]


SECTIONS = ("Returns", "Blocks:", "Callable:", "Since")


def block_faults(block, prototype=""):
    """What a function's block lacks: the sections that a reader counts on (CONTRIBUTING.md)."""
    faults = []
    returns_nothing = re.match(r"^(WEFT_\w+ )*(extern )?void\s+\w", prototype) is not None
    at = -1
    for section in SECTIONS:
        if section == "Returns" and returns_nothing:
            continue
        m = re.search(r"^\s*(?:\w[^\n]*\s)?" + re.escape(section), block.text, re.M)
        if not m:
            faults.append(f"lacks '{section.rstrip(':')}'")
        elif m.start() < at:
            faults.append(f"has '{section.rstrip(':')}' out of order")
        else:
            at = m.start()
    if m := re.search(r"\S +(Blocks|Callable|Order|Cost): {2,}", block.text):
        faults.append(f"has '{m[1]}' in the middle of a line")
    if m := re.search(r"\((.*)\)", prototype):
        args = [a.strip() for a in re.sub(r"\([^()]*\)(?=\s*$|,)", "", re.sub(r"\(\*(\w+)\)\s*\([^()]*\)", r"\1", m[1])).split(",")]
        names = [re.findall(r"\w+", a)[-1] for a in args if a and a not in ("void", "...") and re.findall(r"\w+", a)]
        said = " ".join(f"{p} {text}" for p, text in block.params) + " " + block.summary + " " + block.text
        documented = set(re.findall(r"\w+", said))  # "@buf: len bytes" speaks of len as well
        faults += [f"says nothing about @{n}" for n in names if n not in documented]
    return faults
