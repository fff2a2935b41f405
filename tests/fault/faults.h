// SPDX-License-Identifier: Apache-2.0
/*
 * faults.h - what suite.py and a unit program under it share: a file, mapped by both.
 *
 * The program is a unit program as it is, linked with a copy of the library whose calls for memory,
 * mappings, guards, threads, descriptors, timers and rings lead here (faults.c; meson.build makes
 * the copy with objcopy). Calls are numbered in the order in which they come, whatever thread or
 * child process makes them. One of them fails, as if the machine had nothing left.
 *
 *      WEFT_FAULTS=FILE ── struct faults ──┬── suite.py: which one fails; reads what was called
 *                                          └── faults.c: counts, fails, notes where it was
 *
 * Of each call its kind and the return addresses next above it are noted, by frame pointers, so
 * that suite.py can tell calls that were made alike from others and need not fail each of a
 * thousand.
 */
#ifndef WEFT_TESTS_FAULTS_H
#define WEFT_TESTS_FAULTS_H
#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
    FAULT_HEAP,   /* malloc, calloc, realloc, strdup, strndup; fopen */
    FAULT_MAP,    /* mmap */
    FAULT_GUARD,  /* madvise and process_madvise for guards, mprotect */
    FAULT_THREAD, /* pthread_create */
    FAULT_FD,     /* eventfd, epoll_create, socket */
    FAULT_WATCH,  /* epoll_ctl: the kernel's memory for a watch */
    FAULT_TIMER,  /* timer_create */
    FAULT_RING,   /* io_uring_setup */
    FAULT_KINDS
};

enum { FAULT_NOTES = 1 << 16, FAULT_FRAMES = 24, FAULT_SITE = 3 };

struct faults {
    /* suite.py's */
    int64_t target; /* this call fails, the first is 0; -1: none */
    int64_t lasts;  /* and all after it */
    /* the program's */
    _Atomic int64_t calls;
    _Atomic int64_t hit;           /* one has failed */
    int64_t kind;                  /* which kind */
    uint64_t frames[FAULT_FRAMES]; /* where: addresses within the program's file, 0-terminated */
    struct fault_note {
        uint32_t kind;
        uint32_t site[FAULT_SITE]; /* as frames, the innermost first */
    } notes[FAULT_NOTES];
};

/* For programs that choose for themselves (fault_start.c), without a file: */

/** The n-th call from here on fails (0: the next), and all after it if this lasts. */
void faults_arm(int64_t n, bool lasts);
/** No more. True: one has failed. */
bool faults_disarm(void);
/** Blocks of the heap that the library has and did not free. */
long faults_live(void);
#endif
