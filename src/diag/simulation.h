// SPDX-License-Identifier: Apache-2.0
/*
 * simulation.h - weft_sim_run from the inside: the choices of a schedule, and the report.
 *
 *     explore.c   which schedules, in which order: random, PCT, depth first; the loop of a call
 *     path.c      a schedule as a string
 *     schedule.c  the report: what failed, who waited for what, the steps
 */
#ifndef WEFT_DIAG_SIMULATION_H
#define WEFT_DIAG_SIMULATION_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/sim.h>

#include "diag/text.h"
#include "sched/simulate.h"

/* A choice that had an alternative. */
struct weft__decision {
    uint32_t bound; /* 0: given by a string, so not known */
    uint32_t chosen;
    uint32_t mark; /* of who the candidates were */
    bool costly;   /* all but 0 are preemptions */
};

struct weft__path {
    struct weft__decision *at;
    size_t len, room;
};
/** False: no memory. */
bool weft__path_add(struct weft__path *p, struct weft__decision d);
/** "path:..." into buf, always terminated; false: it does not fit. Async-signal-safe. */
bool weft__path_write(const struct weft__path *p, char *buf, size_t bytes);
/** What follows "path:" into p. 0; -EINVAL; -ENOMEM. */
int weft__path_read(struct weft__path *p, const char *text);

/* A step as the report needs it: what the object was is noted while it is there. */
struct weft__told_step {
    struct weft__sim_step step;
    uint32_t kind; /* of the object; 0: none */
    const char *site;
    const void *pc;
    char name[32];
};

struct weft__told {
    struct weft__told_step *at;
    size_t len, room, lost; /* lost: not kept for want of memory */
};
void weft__told_add(struct weft__told *t, const struct weft__sim_step *s);
void weft__told_line(struct weft__text *t, const struct weft__told *told, size_t index);
/** The fibers of the schedule, by number: state, reason, object, place. On the idle stack. */
void weft__told_fibers(struct weft__text *t, const struct weft__told *told);

#endif
