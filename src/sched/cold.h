// SPDX-License-Identifier: Apache-2.0
/*
 * cold.h - stacks of fibers that have been parked for long, put away (weft_run_opts.cold_ns).
 *
 * A parked fiber keeps some hundred live bytes on a page of 4 KiB. Cold stacks take the page away,
 * keep the bytes packed (cold_store.h), and give the page back to the kernel. Whoever touches the
 * address, in whatever way, finds it as it was: userfaultfd stops him there until a thread of ours,
 * the *keeper*, has put the page back. docs/design/cold-stacks.md has the experiments.
 *
 *                 monitor: parked for cold_ns                     anyone touches it
 *      page ──UFFDIO_MOVE──> staging ──pack──> block    block ──unpack──> UFFDIO_COPY──> page
 *      (from here on who touches it waits)              (and those that waited go on)
 *
 * Only pages that are *absent* stop anybody. So in the classes that take part (up to 256 KiB) no
 * page is ever absent but those put away: a chunk is filled with the kernel's zero page when it is
 * made, which costs the page tables that it would get anyway, and is filled up again where
 * something was dropped. A stack grows through it as through absent pages, by a fault that nobody
 * of us sees.
 *
 * C1  A page leaves by UFFDIO_MOVE: in one step it is where only we can reach it. Nobody's write
 *     falls between the copy and the removal, and a page that the kernel holds for a transfer
 *     (O_DIRECT, a registered buffer) is refused, and stays.
 * C2  From the move until the block is entered, or the page put back, cold.lock is held; the keeper
 *     answers under it. So it never takes a page that is on the way for one that was dropped.
 * C3  The page with the record goes first. Whether the fiber waits is read from it when it is out:
 *     nobody can claim the fiber then, so nobody runs it. Who waits has saved his registers (P2 of
 *     park.c): what lies below his stack pointer is dead. Else it is put back.
 * C4  The keeper waits for nobody who may touch a stack: it allocates nothing, takes no lock but
 *     cold.lock, gets no signals, and touches no stack, no record. Who holds cold.lock touches no
 *     stack either.
 * C5  A block is given back after its pages are in place. A child of fork, which has the memory but
 *     not the keeper, puts back by itself what its copy of the table has and its pages lack;
 *     nothing goes away while a fork is under way.
 * C6  A slot's state says SLOT_AWAY only while its record is out, so that a look at all parked
 *     fibers does not bring them back. The keeper says LIVE first, then puts the page there: from
 *     then on the fiber may run and end.
 * C7  Who holds an armed timer (a sleeper, a wait with a limit) stays: the timer is a link of a
 *     heap, and the first to expire after many were armed walks over all of them, under the heap's
 *     lock.
 *
 * Who may call what: start, stop and closing: the run. The others: any thread, freeze without a
 * lock of the runtime. Progress: a touch waits for the keeper, some 10 us, more under load.
 */
#ifndef WEFT_SCHED_COLD_H
#define WEFT_SCHED_COLD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

struct weft__fiber;

extern _Atomic uint32_t weft__cold_running;
/** Stacks are put away in this run. */
static inline bool weft__cold_on(void)
{
    return at_load_rlx(&weft__cold_running); /* [mo:alone: changes while no fiber runs] */
}

/** Before the first fiber. 0, or, told: -EPERM (userfaultfd is not for us, or not for faults of
 * the kernel), -ENOSYS (there is none), -ENOTSUP (no UFFDIO_MOVE: before Linux 6.8), -ENOMEM. */
int weft__cold_start(void);
/** The run is about to end: nothing is put away any more, and all comes back. */
void weft__cold_closing(void);
/** After the last fiber, and after the monitor. All is back when it returns. */
void weft__cold_stop(void);

/** A class has mapped a chunk. fresh: all its pages are absent, and no guards there. */
void weft__cold_chunk(char *base, size_t slot_bytes, uint32_t slots, bool fresh);
/** Pages of a chunk were dropped. */
void weft__cold_refill(char *low, size_t bytes);
/** How many pages are resident there, counted up to most; -1: not known (ask mincore). mincore
 * counts the zero page. */
int weft__cold_resident(const char *low, size_t bytes, unsigned most);
/** Puts f's stack away, if f has waited since parked_ns and nothing speaks against it. */
bool weft__cold_freeze(struct weft__fiber *f, int64_t parked_ns);
/** All that have, here and now: for tests. */
void weft__cold_pass(int64_t parked_ns);

struct weft__cold_counts {
    uint64_t away, bytes;             /* now: stacks, and the store's bytes for them */
    uint64_t frozen, thawed, refused; /* since the process began; refused: pinned, timed or woken */
    uint64_t zeros;                   /* faults at pages that had been dropped */
};
/** Each is right; together they are a moment apart. */
void weft__cold_count(struct weft__cold_counts *ret);
#endif
