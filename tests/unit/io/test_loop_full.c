// SPDX-License-Identifier: Apache-2.0
/*
 * test_loop_full.c - a pinned loop that takes events more slowly than they come, until the kernel's
 * queue of them is full (4096 completions of io_uring; epoll has none). Standing requests end by
 * themselves then, and are made anew.
 */
#include "loop_test.h"

struct probe {
    weft_loop_io io;
    unsigned all; /* events of all calls */
};

static void on_probe(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    (void)loop;
    WEFT_LOOP_OWNER(io, struct probe, io)->all |= events;
}

/* The queue is full when room appears, so the standing request for WRITE ends; WRITE is wanted no
 * more when that is heard of. Wanted again, it must be
 * reported. */
BOTH(write_wanted_anew_after_an_overflow)
{
    enum { FILLERS = 16, TURNS = 280 }; /* 15 more a turn: 4096 and some */
    weft_loop *loop = make_loop_opts(kind, (weft_loop_opts){.batch = 1});
    struct probe p = {.all = 0}, filler[FILLERS] = {{.all = 0}};
    int fd[2], side[FILLERS][2];
    char c;
    make_pair(fd); /* room appears with the read, not with an acknowledgement */
    unsigned both = WEFT_LOOP_READ | WEFT_LOOP_WRITE;
    CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], both, on_probe), 0);
    TURN_UNTIL(loop, p.all & WEFT_LOOP_WRITE);
    settle(loop);
    size_t sent = fill(loop, &p.io);
    for (int i = 0; i < FILLERS; i++) {
        make_pair(side[i]);
        CHECK_EQ(weft_loop_io_add(loop, &filler[i].io, side[i][0], WEFT_LOOP_READ, on_probe), 0);
    }
    for (int n = 0; n < TURNS; n++) {
        for (int i = 0; i < FILLERS; i++)
            CHECK_EQ(send(side[i][1], "x", 1, 0), 1);
        CHECK_EQ(weft_loop_step(loop, 0), 0); /* one is taken, the others come on top */
        for (int i = 0; i < FILLERS; i++)
            CHECK_EQ(recv(side[i][0], &c, 1, 0), 1);
    }
    drain_fd(fd[1], sent);
    CHECK_EQ(weft_loop_step(loop, 0), 0);
    CHECK_EQ(weft_loop_io_set(loop, &p.io, WEFT_LOOP_READ), 0);
    p.all = 0;
    for (int n = 0; n < TURNS * FILLERS; n++)
        CHECK_EQ(weft_loop_step(loop, 0), 0);
    CHECK(!(p.all & WEFT_LOOP_WRITE));
    CHECK_EQ(weft_loop_io_set(loop, &p.io, both), 0);
    settle(loop);
    CHECK(p.all & WEFT_LOOP_WRITE);
    for (int i = 0; i < FILLERS; i++) {
        weft_loop_io_close(loop, &filler[i].io);
        close(side[i][1]);
    }
    weft_loop_io_close(loop, &p.io);
    close(fd[1]);
    weft_loop_free(loop);
}
