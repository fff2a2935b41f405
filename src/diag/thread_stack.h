// SPDX-License-Identifier: Apache-2.0
/*
 * thread_stack.h - the stack of another thread of this process, by a signal to it.
 *
 * The thread copies its registers and stack in a handler of SIGURG and goes on; the asker unwinds
 * the copy. A thread that has the
 * signal blocked, or is stopped, does not answer, and after a fifth of a second is left alone. Its
 * system call may end with EINTR where SA_RESTART does not help; pinned loops do not mind.
 */
#ifndef WEFT_DIAG_THREAD_STACK_H
#define WEFT_DIAG_THREAD_STACK_H
#include <stdint.h>

/** Takes SIGURG, unless the program has a handler of its own: threads cannot be asked then. Under
 * weft_run the runtime's handler comes on top and passes on what is not its own. Once. */
void weft__thread_stack_init(void);
/** Frames of thread tid, innermost first; 0: it did not answer. Any other thread, one at a time
 * (others wait); not from signal handlers. */
int weft__thread_stack(int tid, uintptr_t *ret_pcs, int max);
#endif
