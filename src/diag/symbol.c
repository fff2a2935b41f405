// SPDX-License-Identifier: Apache-2.0
/* symbol.c - names for program counters through libdwfl (symbol.h). */
#include "diag/symbol.h"

#include <elfutils/libdwfl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUCKETS = 4096 };

struct entry {
    struct entry *next;
    uintptr_t pc;
    struct weft__symbol symbol;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *cache[BUCKETS];
static Dwfl *dwfl;

static char *no_search; /* never ask the network (debuginfod) or search debug paths for minutes */
static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_linux_proc_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .debuginfo_path = &no_search,
};

/* Modules may have been loaded since: the map is read again when an address is unknown. */
static void report_modules(void)
{
    if (!dwfl)
        dwfl = dwfl_begin(&callbacks);
    if (!dwfl)
        return;
    dwfl_report_begin(dwfl);
    dwfl_linux_proc_report(dwfl, getpid());
    dwfl_report_end(dwfl, NULL, NULL);
}

static const char *copy(const char *s)
{
    char *c = s ? strdup(s) : NULL;
    return c ? c : "";
}

/* File and line. clang writes no table of which unit has which addresses (.debug_aranges), by which
 * libdwfl looks: so each unit is asked. */
static const char *source_of(Dwfl_Module *m, uintptr_t at, int *ret_line)
{
    Dwfl_Line *line = dwfl_module_getsrc(m, at);
    Dwarf_Addr bias;
    if (line)
        return dwfl_lineinfo(line, NULL, ret_line, NULL, NULL, NULL);
    for (Dwarf_Die *unit = NULL; (unit = dwfl_module_nextcu(m, unit, &bias));) {
        if (dwarf_haspc(unit, at - bias) <= 0)
            continue;
        Dwarf_Line *l = dwarf_getsrc_die(unit, at - bias);
        if (l && dwarf_lineno(l, ret_line) == 0)
            return dwarf_linesrc(l, NULL, NULL);
    }
    return NULL;
}

static struct weft__symbol look_up(uintptr_t pc, uintptr_t at)
{
    struct weft__symbol s = {.function = "?", .file = ""};
    Dwfl_Module *m = dwfl ? dwfl_addrmodule(dwfl, at) : NULL;
    if (!m) {
        report_modules();
        m = dwfl ? dwfl_addrmodule(dwfl, at) : NULL;
    }
    if (!m)
        return s;
    GElf_Off offset = 0;
    GElf_Sym sym;
    const char *name = dwfl_module_addrinfo(m, at, &offset, &sym, NULL, NULL, NULL);
    if (name) {
        s.function = copy(name);
        s.offset = (uintptr_t)offset + (pc - at);
    }
    const char *file = source_of(m, at, &s.line);
    if (file)
        s.file = copy(file);
    return s;
}

struct Dwfl *weft__dwfl_acquire(void)
{
    pthread_mutex_lock(&lock);
    if (!dwfl)
        report_modules();
    return dwfl;
}

void weft__dwfl_release(void)
{
    pthread_mutex_unlock(&lock);
}

struct weft__symbol weft__symbol_of(uintptr_t pc, int is_return)
{
    struct entry **bucket = &cache[(pc >> 2) % BUCKETS], *e;
    pthread_mutex_lock(&lock);
    for (e = *bucket; e && e->pc != pc; e = e->next)
        ;
    if (!e && (e = calloc(1, sizeof *e))) {
        e->pc = pc;
        e->symbol = look_up(pc, pc - (is_return != 0));
        e->next = *bucket;
        *bucket = e;
    }
    struct weft__symbol s = e ? e->symbol : (struct weft__symbol){.function = "?", .file = ""};
    pthread_mutex_unlock(&lock);
    return s;
}
