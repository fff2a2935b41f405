// SPDX-License-Identifier: Apache-2.0
/*
 * symbol.h - program counters into names: function, source file, line.
 *
 * elfutils' libdwfl reads the process's own modules, with their DWARF where there is any; the
 * answers are cached by address, as dumps ask for the same few hundred again and again. Without
 * debug information the function comes from the symbol table, and the file is empty. Functions of
 * static linkage are found too (dladdr misses them).
 *
 * Concurrency: any thread; a mutex around everything (libdwfl is not thread-safe). Not
 * async-signal-safe.
 */
#ifndef WEFT_DIAG_SYMBOL_H
#define WEFT_DIAG_SYMBOL_H
#include <stdint.h>

struct weft__symbol {
    const char *function; /* "?" if unknown; lives for ever */
    const char *file;     /* "" if unknown */
    int line;
    uintptr_t offset; /* from the function's start */
};

struct Dwfl;
/** libdwfl's view of this process, its modules known, for somebody else's use until
 * weft__dwfl_release; NULL: there is none (release all the same). */
struct Dwfl *weft__dwfl_acquire(void);
void weft__dwfl_release(void);
/** is_return: pc is a return address, so the call is one byte earlier. */
struct weft__symbol weft__symbol_of(uintptr_t pc, int is_return);
#endif
