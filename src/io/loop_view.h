// SPDX-License-Identifier: Apache-2.0
/*
 * loop_view.h - what can be said of a pinned loop from outside, while it turns.
 *
 * All loops are on one list, from weft_loop_new to weft_loop_free. A view is a racy copy: the loop
 * runs on while it is made, and nothing waits for it, so a loop that hangs in a callback can be
 * looked at, which is when one wants to.
 */
#ifndef WEFT_IO_LOOP_VIEW_H
#define WEFT_IO_LOOP_VIEW_H
#include <stddef.h>
#include <stdint.h>

enum weft__loop_place {
    WEFT__LOOP_AWAY,    /* nobody turns it: not started, ended, or between two steps */
    WEFT__LOOP_POLLING, /* waits in the kernel, or looks there for events */
    WEFT__LOOP_CALLING, /* in a turn: callbacks */
};

enum { WEFT__LOOP_MESSAGES_MAX = 1000 };

struct weft__loop_view {
    uint64_t id; /* 1, 2, ... in the order of their making */
    char name[16];
    const char *backend;
    int tid; /* 0: no thread has turned it yet */
    enum weft__loop_place place;
    uintptr_t callback;                /* the one begun last in this turn; 0: none yet */
    int64_t since_ns;                  /* when the last turn began; weft__clock_ns */
    uint64_t turns, listeners, timers; /* timers: armed */
    uint64_t sockets;                  /* records added, listeners not among them */
    unsigned messages; /* posted and waiting; WEFT__LOOP_MESSAGES_MAX stands for as many or more */
};

/** Copies up to `room` views, oldest loop first, and returns how many loops there are. Any thread;
 * not from signal handlers. */
size_t weft__loops_view(struct weft__loop_view *at, size_t room);
#endif
