# SPDX-License-Identifier: Apache-2.0
"""mutants.py - finds the places in a C file where one small mistake could stand, and makes the mistake.

It reads C as clang-format leaves it in this tree, without a parser: comments and strings are blanked, function bodies are
those between a lone { and a } in the first column, and a body is divided into pieces (a statement, the head of an if, a
bracket). A mutant replaces text within a body and keeps every line where it was, so that line numbers in the object file
don't change and two object files can be compared.

    Mutant.path, .line, .kind    "src/sched/park.c", 57, "compare"
    Mutant.name                  "src/sched/park.c:57:compare", with .2 behind it if it is the second of them
    Mutant.patched(text)         the whole file with the mistake
    find(path, text)             [Mutant], in the order of the text
    draw(files, seed)            all mutants of {path: text} in the order in which they are to be tried

What is not touched: assertions and checks (without them the program is right), hints to the processor, words to
ThreadSanitizer, and declarations.
"""
import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass

import headers

KINDS = {
    "weaken": "a weaker memory order; a fence for the compiler only",
    "tear": "a read-modify-write taken apart into a load and a store",
    "drop": "an atomic store, read-modify-write or fence left out",
    "recheck": "a look again left out: a loop that goes round once, an operand of && or ||, a way out behind a lock or an atomic",
    "swap": "two neighbouring statements swapped",
    "compare": "a comparison turned round, or off by one",
    "force": "a condition always true, or always false",
    "call": "a call left out: an unlock, a wake-up, a removal from a list",
    "result": "a returned value negated",
}
KEPT = re.compile(r"(?:\(void\)|else\b|\s)*(?:WEFT_ASSERT|WEFT_CHECK|WEFT_EXPENSIVE|check_\w+|weft__tsan_\w+|weft__\w*asan_\w+|weft__rank_\w+"
                  r"|weft__cpu_pause|weft__object_check|_Static_assert|__builtin_unreachable|WEFT_PROBE\w*)\b")
DECLARATION = re.compile(r"(?:static|const|volatile|unsigned|struct|enum|union|typedef|_Atomic)\b|\w+\s+\**\s*\w+\s*(?:[=;,\[(]|$)")
JUMP = re.compile(r"(?:return|break|continue|goto)\b|\(void\)\w+;")
ATOMIC = re.compile(r"\bat_(load|store|xchg|add|sub|or|and|cas|fence)(_acq|_rel|_rlx)?\(")
ORDERING = re.compile(r"\bat_\w+\(|\bweft__lock\w*\(")
HEAD = re.compile(r"(if|while|for|switch|else if)\b\s*\(|(else|do)\b(?!\s*if)")
FETCH = {"xchg": "exchange", "add": "fetch_add", "sub": "fetch_sub", "or": "fetch_or", "and": "fetch_and"}
TURNED = {"==": ["!="], "!=": ["=="], "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"]}


@dataclass
class Mutant:
    path: str
    line: int
    kind: str
    start: int
    end: int
    text: str
    name: str = ""

    def patched(self, whole):
        was = whole[self.start:self.end]
        missing = was.count("\n") - self.text.count("\n")
        return whole[:self.start] + self.text + "\n" * missing + whole[self.end:]


@dataclass
class Piece:
    kind: str  # simple, if, while, for, switch, else, do, open, close, label
    start: int
    end: int
    inner: tuple = ()  # of a head: where its condition stands, without the parentheses


def blank(text):
    """Comments, strings and preprocessor lines blanked, every character where it was."""
    code = headers.blank_comments(text)
    code = re.sub(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", lambda m: m[0][0] + "_" * (len(m[0]) - 2) + m[0][0], code)
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: re.sub(r"[^\n]", " ", m[0]), code, flags=re.M)


def closing(code, at):
    """Where the bracket that opens at `at` is closed."""
    depth = 0
    for i in range(at, len(code)):
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
            if depth == 0:
                return i
    raise ValueError("a bracket stays open")


def divided(code, start, end, mark):
    """The operands of a list or expression, divided by `mark` outside of brackets: [(start, end)]."""
    parts, depth, at, i = [], 0, start, start
    while i < end:
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
        elif depth == 0 and code.startswith(mark, i):
            parts.append((at, i))
            at = i = i + len(mark)
            continue
        i += 1
    parts.append((at, end))
    return parts


def bodies(code):
    """(head, start, end) of each function: the text before its body, and where the body stands."""
    for m in re.finditer(r"^\{\n(.*?)^\}", code, re.M | re.S):
        before = code[:m.start()]
        cut = max(before.rfind(";"), before.rfind("\n}"), before.rfind("\n\n"))
        yield code[cut + 1:m.start()].strip("}; \n"), m.start() + 1, m.end() - 1


def functions(text):
    """(name, start, end) of each function with its body."""
    found = []
    for head, start, end in bodies(blank(text)):
        name = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)", "", head))
        if name:
            found.append((name[1], start, end))
    return found


def pieces(code, start, end):
    found, i = [], start
    while True:
        while i < end and code[i].isspace():
            i += 1
        if i >= end:
            return found
        at = i
        if code[i] in "{}":
            found.append(Piece("open" if code[i] == "{" else "close", i, i + 1))
            i += 1
        elif m := HEAD.match(code, i, end):
            if m[2]:
                found.append(Piece(m[2], at, m.end()))
                i = m.end()
                continue
            parenthesis = m.end() - 1
            i = closing(code, parenthesis) + 1
            found.append(Piece("if" if m[1] == "else if" else m[1], at, i, (parenthesis + 1, i - 1)))
            if m[1] == "while" and code[i:i + 1] == ";":  # of a do, or with an empty body
                found[-1].kind = "tail"
                i += 1
        elif m := re.compile(r"(?:case\b[^:;]*|default|[A-Za-z_]\w*)\s*:(?!:)").match(code, i, end):
            found.append(Piece("label", at, m.end()))
            i = m.end()
        else:
            while code[i] != ";":
                i = closing(code, i) + 1 if code[i] in "([{" else i + 1
            i += 1
            found.append(Piece("simple", at, i))


class Finder:
    def __init__(self, path, text):
        self.path, self.text, self.code, self.found = path, text, blank(text), []

    def add(self, kind, start, end, text):
        self.found.append(Mutant(self.path, self.code.count("\n", 0, start) + 1, kind, start, end, text))

    def whole(self):
        for head, start, end in bodies(self.code):
            self.body(head, start, end)
        self.found.sort(key=lambda m: (m.start, m.end))
        seen = Counter()
        for m in self.found:
            m.name = f"{m.path}:{m.line}:{m.kind}"
            seen[m.name] += 1
            if seen[m.name] > 1:
                m.name += f".{seen[m.name]}"
        return self.found

    def body(self, head, start, end):
        parts = pieces(self.code, start, end)
        for i, p in enumerate(parts):
            code = self.code[p.start:p.end]
            if KEPT.match(code):
                continue
            if p.kind in ("simple", "if", "while", "for", "tail", "switch"):
                self.atomics(p)
                self.comparisons(p)
            if p.kind in ("if", "while"):
                self.condition(p, parts[i - 1] if i else None, parts[i + 1])
            if p.kind == "simple":
                self.statement(p, head)
                after = parts[i + 1] if i + 1 < len(parts) else None
                before = parts[i - 1].kind if i else "open"
                if after and after.kind == "simple" and before in ("simple", "open", "close", "label"):
                    self.swap(p, after)

    def arguments(self, parenthesis):
        end = closing(self.code, parenthesis)
        return [self.text[a:b].strip() for a, b in divided(self.code, parenthesis + 1, end, ",")], end + 1

    def atomics(self, p):
        for m in ATOMIC.finditer(self.code, p.start, p.end):
            what, order = m[1], m[2] or ""
            arguments, end = self.arguments(m.end() - 1)
            if order == "_rlx" and what in ("load", "store"):
                continue
            self.weaker(m.start(), end, what, order, arguments)
            if what in FETCH or what == "cas":
                self.torn(m.start(), end, what, arguments)

    def weaker(self, start, end, what, order, arguments):
        joined = ", ".join(arguments)
        if what == "load":
            self.add("weaken", start, end, f"at_load_rlx({joined})")
        elif what == "store":
            if not order:
                self.add("weaken", start, end, f"at_store_rel({joined})")
            self.add("weaken", start, end, f"at_store_rlx({joined})")
        elif what == "fence":
            self.add("weaken", start, end, "at_compiler_fence()")
        elif what == "cas":
            self.add("weaken", start, end, f"atomic_compare_exchange_strong_explicit({joined}, memory_order_relaxed, memory_order_relaxed)")
        elif not order:
            self.add("weaken", start, end, f"atomic_{FETCH[what]}_explicit({joined}, memory_order_relaxed)")

    def torn(self, start, end, what, arguments):
        """Other threads may come in between the load and the store."""
        load = f"__auto_type p_ = {arguments[0]}; __auto_type o_ = at_load_rlx(p_);"
        if what == "cas":
            self.add("tear", start, end, f"({{ {load} __auto_type e_ = {arguments[1]}; _Bool y_ = o_ == *e_; "
                     f"if (y_) at_store_rlx(p_, {arguments[2]}); else *e_ = o_; y_; }})")
            return
        value = arguments[1] if what == "xchg" else f"o_ {dict(add='+', sub='-', **{'or': '|', 'and': '&'})[what]} ({arguments[1]})"
        self.add("tear", start, end, f"({{ {load} at_store_rlx(p_, {value}); o_; }})")

    def comparisons(self, p):
        for m in re.finditer(r"(?<=\s)(==|!=|<=|>=|<|>)(?=\s)", self.code[p.start:p.end]):
            for other in TURNED[m[1]]:
                self.add("compare", p.start + m.start(1), p.start + m.end(1), other)

    def condition(self, p, before, after):
        start, end = p.inner
        if m := re.match(r"\s*__builtin_expect\(", self.code[start:end]):
            parenthesis = start + m.end() - 1
            start, end = divided(self.code, parenthesis + 1, closing(self.code, parenthesis), ",")[0]
        was = self.text[start:end]
        way_out = after.kind == "simple" and JUMP.match(self.code, after.start)
        again = way_out and (ORDERING.search(self.code, start, end)
                             or (before and before.kind != "close" and ORDERING.search(self.code, before.start, before.end)))
        self.add("recheck" if again else "force", start, end, f"({was}) && 0")
        if p.kind == "if":
            self.add("force", start, end, f"({was}) || 1")
        else:
            self.add("recheck", p.start, p.start + len("while"), "if")
        for mark in ("||", "&&"):
            operands = divided(self.code, start, end, mark)
            if len(operands) > 1:
                for i in range(len(operands)):
                    rest = [self.text[a:b] for j, (a, b) in enumerate(operands) if j != i]
                    self.add("recheck", start, end, mark.join(rest).strip())
                break

    def statement(self, p, head):
        code = self.code[p.start:p.end]
        if m := re.match(r"return\b\s*(.+);$", code, re.S):
            self.result(p.start + m.start(1), p.start + m.end(1), head)
        elif m := re.match(r"(?:\(void\)\s*)?([A-Za-z_][\w.>\-]*)\s*\(", code):
            if closing(self.code, p.start + m.end() - 1) == p.end - 2:
                self.add("drop" if m[1].startswith("at_") else "call", p.start, p.end, "(void)0;")

    def result(self, start, end, head):
        was = self.text[start:end]
        name = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)", "", head))
        kind = head[:name.start()] if name else "int "
        if "*" in kind or kind.split()[-1:] == ["pthread_t"]:
            if was != "NULL":
                self.add("result", start, end, f"((void)({was}), NULL)")
        elif re.search(r"\bbool\b|\bu?int\d+_t\b.*u|\bunsigned\b|\bsize_t\b|\buint", kind):
            self.add("result", start, end, f"!({was})")
        elif "void" not in kind:
            truth = was.startswith("!") or re.search(r" (?:==|!=|<|>|<=|>=|&&|\|\|) ", was) and " ? " not in was
            self.add("result", start, end, f"!({was})" if truth else "-5" if was == "0" else f"-({was})")

    def swap(self, p, after):
        """Only where the order may mean something: one is a call or an atomic, or writes what the other reads."""
        a, b = self.code[p.start:p.end], self.code[after.start:after.end]
        if any(KEPT.match(s) or JUMP.match(s) or DECLARATION.match(s) for s in (a, b)) or a == b:
            return
        written = [set(re.findall(r"[\w.>\-\[\]]+", s.split("=")[0])) if re.search(r"[^=!<>]=[^=]", s) else set() for s in (a, b)]
        words = [set(re.findall(r"[\w.>\-\[\]]+", s)) for s in (a, b)]
        if "(" in a + b or written[0] & words[1] or written[1] & words[0]:
            between = self.text[p.end:after.start]
            self.add("swap", p.start, after.end, self.text[after.start:after.end] + between + self.text[p.start:p.end])


def find(path, text):
    return Finder(path, text).whole()


def draw(files, seed):
    """Spread evenly: next comes the file that was drawn from least, and of its kinds the one drawn least in all."""
    chance = random.Random(seed)
    left = defaultdict(lambda: defaultdict(list))
    for path in sorted(files):
        for m in find(path, files[path]):
            left[path][m.kind].append(m)
    for kinds in left.values():
        for mutants in kinds.values():
            chance.shuffle(mutants)
    order = sorted(left)
    chance.shuffle(order)
    of_file, of_kind, drawn = Counter(), Counter(), []
    while order:
        path = min(order, key=lambda f: of_file[f])
        kind = min(left[path], key=lambda k: (of_kind[k], chance.random()))
        drawn.append(left[path][kind].pop())
        of_file[path] += 1
        of_kind[kind] += 1
        if not left[path][kind]:
            del left[path][kind]
        if not left[path]:
            order.remove(path)
    return drawn
