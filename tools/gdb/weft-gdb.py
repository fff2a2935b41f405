# SPDX-License-Identifier: Apache-2.0
"""weft-gdb.py - fibers in gdb, of a live process or a core file.

    (gdb) source tools/gdb/weft-gdb.py
    (gdb) weft fibers           every fiber: id, name, state, why it waits and since when, and its stack
    (gdb) weft fibers TEXT      those whose entry here contains TEXT
    (gdb) weft bt ID            one fiber's stack, with addresses and lines
    (gdb) weft core FILE        a core file of the live process, with the fibers' stacks

Nothing is called in the process, only memory is read: the arenas' tables (classes[] in
src/sched/stack.c) lead to the records of the live fibers, a record to the saved stack pointer, and
frame pointers through the stack. The stack of a fiber that is put away (cold_ns) is unpacked from where it is kept (src/sched/cold.c); to
gdb itself such memory cannot be read. A fiber that runs is found on its thread. It wants libweft's debug
information (weft is built with it; a stripped libweft.so needs its .debug file).

A core file as the kernel writes it has all stacks. gdb's own generate-core-file (gcore) reads a megabyte
at a time and leaves out the rest of a mapping from the first megabyte on that a guard lies in; such
fibers show no stack. `weft core` lets gdb write its file and then fills in, page by page, what is there.

"since" counts from the scheduler's coarse clock, which is up to a millisecond late while the
program is busy and stands still while it is idle.
"""
import os
import struct

import gdb

STATES = ["dead", "idle", "runnable", "running", "waiting"]
THREAD, IDLE = 1, 2  # flags of a record that is not a fiber's
COLOURS, COLOUR_BYTES = 8, 192  # src/sched/stack.c; the test compares
MAX_FRAMES = 64
SAVED = {"i386:x86-64": (6, 5), "aarch64": (11, 10)}    # words of pc and fp in a saved stack: the pictures in src/arch
PAGE = 4096
LIVE, AWAY = 1, 4    # states of a slot: src/sched/stack.c


def unpack(code):
    """Words as weft__pack of src/sched/cold_store.c packs them."""
    out, at = bytearray(), 0
    while at < len(code):
        mask, at = code[at], at + 1
        if mask == 0:
            out += bytes(8 * code[at])
            at += 1
            continue
        for bit in range(8):
            there = mask >> bit & 1
            out.append(code[at] if there else 0)
            at += there
    return bytes(out)


class Record:
    """A fiber's record that is not at its address now."""

    def __init__(self, value, address):
        self.value, self.address = value, address

    def __getitem__(self, field):
        return self.value[field]


class Lib:
    """What is looked up once a command: types and symbols of libweft."""

    def __init__(self):
        gdb.execute("set language c", to_string=True)
        try:
            self.fiber = gdb.lookup_type("struct weft__fiber")
            self.mach = gdb.lookup_type("struct weft__mach")
            self.word = gdb.lookup_type("unsigned long")
            self.classes = self.static("stack.c", "classes")
            self.class_bytes = self.static("stack.c", "class_bytes")
            self.reasons = self.static("fiber.c", "reasons")
            self.sched = gdb.parse_and_eval("weft__sched")
            self.piece = 0, b""    # where the stack last seen would be, if it is away
            self.away = self.tables_of_away()
        except gdb.error as e:
            raise gdb.GdbError(f"no libweft with debug information here: {e}")
        finally:
            gdb.execute("set language auto", to_string=True)

    @staticmethod
    def static(file, name):
        for symbol in gdb.lookup_static_symbols(name):
            if symbol.symtab.filename.endswith("sched/" + file):
                return symbol.value()
        raise gdb.error(f"no {name} of {file}")

    def tables_of_away(self):
        """Base of a chunk: address of its table of blocks."""
        tables, k = {}, self.static("cold.c", "cold")["chunks"]
        while int(k):
            tables[int(k["base"])] = int(k["away"].address)
            k = k["next"]
        return tables

    def bring(self, base, i, at):
        """The record at `at`, in slot i of the chunk, whose stack is put away; None: it is on the way."""
        inferior = gdb.selected_inferior()
        block = self.read_word(self.away[base] + 8 * i)
        if not block:
            return None
        low, _, size = struct.unpack("<QII", inferior.read_memory(block, 16).tobytes())
        self.piece = low, unpack(inferior.read_memory(block + 16, size).tobytes())
        record = self.piece[1][at - low:at - low + self.fiber.sizeof]
        return Record(gdb.Value(record, self.fiber), at)

    def read_word(self, address):
        low, data = self.piece
        if low <= address < low + len(data):
            return int.from_bytes(data[address - low:address - low + 8], "little")
        return int(gdb.Value(address).cast(self.word.pointer()).dereference())

    def fibers(self):
        inferior = gdb.selected_inferior()
        record = (self.fiber.sizeof + 63) & ~63
        for c in range(self.classes.type.range()[1] + 1):
            k, slot_bytes = self.classes[c], int(self.class_bytes[c])
            for n in range(int(k["chunk_count"])):
                chunk = k["chunks"][n].dereference()
                base, slots, first = int(chunk["base"]), int(chunk["slots"]), int(chunk["first"])
                live = inferior.read_memory(int(chunk["live"]), slots).tobytes()
                for i in (i for i in range(slots) if live[i] in (LIVE, AWAY)):
                    down = (first + i) % COLOURS * COLOUR_BYTES + record
                    at = base + i * slot_bytes + slot_bytes - down
                    self.piece = 0, b""
                    f = self.bring(base, i, at) if live[i] == AWAY else gdb.Value(at).cast(self.fiber.pointer()).dereference()
                    if f is not None:
                        yield f

    def machs(self):
        m = self.sched["all_machs"]
        while int(m):
            yield m.dereference()
            m = m.dereference()["all_next"]

    # ---- stacks ----

    def start_of(self, f):
        """(pc, frame pointer) where a fiber is that does not run."""
        if int(f["bound"]):
            m = f["bound"].cast(self.mach.pointer()).dereference()
            return int(m["sig_pc"]), int(m["sig_fp"])
        sp, (pc, fp) = int(f["sp"]), SAVED.get(gdb.selected_inferior().architecture().name(), SAVED["i386:x86-64"])
        return self.read_word(sp + 8 * pc), self.read_word(sp + 8 * fp)

    def running_stack(self, f):
        """The frames of its thread that lie on the fiber's stack, as gdb unwinds them."""
        tids = [int(m["tid"]) for m in self.machs() if int(m["t"]["cur"]) == int(f.address)]
        before, pcs = gdb.selected_thread(), []
        try:
            for t in gdb.selected_inferior().threads():
                if t.ptid[1] not in tids:
                    continue
                t.switch()
                frame = gdb.newest_frame()
                while frame is not None and len(pcs) < MAX_FRAMES:
                    sp = int(frame.read_register("sp"))
                    if frame.type() != gdb.INLINE_FRAME and int(f["stack_low"]) <= sp < int(f.address):
                        pcs.append(frame.pc())
                    frame = frame.older()
        finally:
            if before is not None:
                before.switch()
        return pcs

    def stack(self, f):
        if int(f["state"]) == STATES.index("running"):
            return self.running_stack(f)
        if not int(f["bound"]) and not int(f["stack_low"]) <= int(f["sp"]) < int(f.address):
            return []
        pc, fp = self.start_of(f)
        low, high, pcs = int(f["stack_low"]), int(f.address), [pc]
        try:
            while low <= fp <= high - 16 and fp % 8 == 0 and len(pcs) < MAX_FRAMES:
                up, pc = self.read_word(fp), self.read_word(fp + 8)
                if pc < 4096:
                    break
                pcs.append(pc)
                if up <= fp:
                    break
                fp = up
        except gdb.MemoryError:
            pass
        return pcs

    # ---- words ----

    def name(self, f):
        if not int(f["ext"]):
            return ""
        try:
            ext = gdb.lookup_type("struct weft__fiber_ext")
            return f["ext"].cast(ext.pointer()).dereference()["name"].string()
        except gdb.error:
            return ""

    def title(self, f):
        state = STATES[int(f["state"])]
        words = [f"fiber {int(f['id'])}"]
        name = self.name(f)
        if name:
            words.append(f'"{name}"')
        if state == "waiting":
            since = max(0, int(self.sched["coarse_ns"]) - int(f["park_since_ns"]))
            state = f"{self.reasons[int(f['park_reason'])].string()}, {since / 1e9:.3f} s"
            if int(f["park_object"]):
                state += f", on {int(f['park_object']):#x}"
        elif int(f["bound"]):
            state += ", preempted"
        return " ".join(words) + f" [{state}]"


def describe(pc, inner):
    """function at file:line; a return address belongs to the call before it. Of what the compiler has
    put into it the innermost is named too."""
    at = pc if inner else pc - 1
    try:
        block = gdb.block_for_pc(at)
        names = []
        while block is not None and not block.is_global:
            names += [block.function.name] if block.function is not None else []
            block = block.superblock
    except RuntimeError:
        names = []
    if names:
        name = names[-1] + (f", in {names[0]}" if names[0] != names[-1] else "")
    else:
        text = gdb.execute(f"info symbol {at:#x}", to_string=True)
        name = "??" if text.startswith("No symbol") else text.split(" ")[0]
    line = gdb.find_pc_line(at)
    where = f" at {line.symtab.filename}:{line.line}" if line.symtab else ""
    return name.replace("weft.", "weft__"), where


class Weft(gdb.Command):
    """Fibers of a program on libweft: weft fibers [TEXT], weft bt ID."""

    def __init__(self):
        super().__init__("weft", gdb.COMMAND_STACK, prefix=True)


class Fibers(gdb.Command):
    """weft fibers [TEXT] - every fiber with its state and stack, or those that TEXT appears in."""

    def __init__(self):
        super().__init__("weft fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        lib, count = Lib(), 0
        for f in lib.fibers():
            lines = [lib.title(f)]
            for i, pc in enumerate(lib.stack(f)):
                name, where = describe(pc, i == 0)
                lines.append(f"    {name}{where}")
            text = "\n".join(lines)
            if argument in text:
                print(text + "\n")
                count += 1
        print(f"{count} fibers")


class Backtrace(gdb.Command):
    """weft bt ID - the stack of one fiber."""

    def __init__(self):
        super().__init__("weft bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if not argument.strip().isdigit():
            raise gdb.GdbError("usage: weft bt ID (weft fibers lists them)")
        lib = Lib()
        for f in lib.fibers():
            if int(f["id"]) == int(argument):
                print(lib.title(f))
                for i, pc in enumerate(lib.stack(f)):
                    name, where = describe(pc, i == 0)
                    print(f"#{i:<3} {pc:#018x} in {name}{where}")
                return
        raise gdb.GdbError(f"no fiber {argument.strip()}")


def loads(core):
    """(file offset, address, bytes) of each piece of memory in an ELF core file."""
    header = os.pread(core, 64, 0)
    phoff, shoff = struct.unpack_from("<QQ", header, 32)
    count = struct.unpack_from("<H", header, 56)[0]
    if count == 0xffff:    # more than fit: the first section's sh_info has the number
        count = struct.unpack_from("<I", os.pread(core, 64, shoff), 44)[0]
    for i in range(count):
        kind, _, offset, address, _, filesz = struct.unpack_from("<IIQQQQ", os.pread(core, 56, phoff + 56 * i))
        if kind == 1 and filesz:
            yield offset, address, filesz


def pages_there(pagemap, address, count):
    """Runs (first, past the last) of pages that are in memory or in swap, among `count` pages from address on."""
    at = 0
    while at < count:
        words = os.pread(pagemap, 8 * min(count - at, 65536), address // PAGE * 8)
        if not words:
            return
        first = None
        for i, (word,) in enumerate(struct.iter_unpack("<Q", words)):
            if word >> 62 and first is None:
                first = i
            elif not word >> 62 and first is not None:
                yield at + first, at + i
                first = None
        n = len(words) // 8
        if first is not None:
            yield at + first, at + n
        at, address = at + n, address + n * PAGE


class Core(gdb.Command):
    """weft core FILE - write a core file of the live process, with the fibers' stacks."""

    def __init__(self):
        super().__init__("weft core", gdb.COMMAND_DATA, gdb.COMPLETE_FILENAME)

    @staticmethod
    def fill(core, memory, pagemap):
        for offset, address, size in loads(core):
            for first, end in pages_there(pagemap, address, size // PAGE):
                at = first * PAGE
                while at < end * PAGE:    # up to a guard, and on behind it
                    try:
                        data = os.pread(memory, min(256 * PAGE, end * PAGE - at), address + at)
                    except OSError:    # a device's, or a guard, or gone
                        data = b""
                    os.pwrite(core, data, offset + at)
                    at += len(data) or PAGE

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("usage: weft core FILE")
        file, pid = os.path.expanduser(argument), gdb.selected_inferior().pid
        if not pid or not os.path.exists(f"/proc/{pid}/mem"):
            raise gdb.GdbError("there is no live process here")
        gdb.execute(f"generate-core-file {file}")
        fds = []
        try:
            for path, flags in ((file, os.O_RDWR), (f"/proc/{pid}/mem", os.O_RDONLY), (f"/proc/{pid}/pagemap", os.O_RDONLY)):
                fds.append(os.open(path, flags))
            self.fill(*fds)
        finally:
            for fd in fds:
                os.close(fd)


Weft()
Fibers()
Backtrace()
Core()
