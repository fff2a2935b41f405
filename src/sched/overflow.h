// SPDX-License-Identifier: Apache-2.0
/* overflow.h - a fiber that runs off its stack ends the process with a sentence that names it, not
 * with a bare SIGSEGV. */
#ifndef WEFT_SCHED_OVERFLOW_H
#define WEFT_SCHED_OVERFLOW_H

/** Installs the SIGSEGV and SIGBUS handler (chains to what was there). */
void weft__overflow_install(void);
void weft__overflow_uninstall(void);
#endif
