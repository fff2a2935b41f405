// SPDX-License-Identifier: Apache-2.0
/*
 * hooks.h - how the lower rooms reach what only the upper ones can do, without including them.
 *
 * weft_run calls the init functions once, on the calling thread, before the runtime starts. The
 * pointers are NULL until their room has set them; whoever calls one checks.
 */
#ifndef WEFT_BASE_HOOKS_H
#define WEFT_BASE_HOOKS_H
#include <stdbool.h>

/** io: sets the poller. 0, or what the kernel refused it with (-EMFILE, -ENFILE, -ENOMEM). */
int weft__io_init(void);
/** diag: signal handlers, symbols, the hooks of fatal.h and below. */
void weft__diag_init(void);

/** diag: every fiber with its stack to fd. Async-signal-safe. */
extern void (*weft__dump_hook)(int fd);

/** io: whether weft_signal_notify has this signal; a run cannot have it for preemption then. */
extern bool (*weft__signal_noted_hook)(int number);
/** diag: the handler of SIGQUIT that asks for a dump, once it is installed. */
extern void (*weft__quit_handler)(int number);

/** The simulator: the process is about to end for this ("panic", "misuse") and that. Does not
 * return on a fiber that it runs; NULL but while it runs. */
extern void (*weft__give_up_hook)(const char *what, const char *text);
#endif
