// SPDX-License-Identifier: Apache-2.0
/* guide_simulate.c - a deadlock that a test on the machine may never see, found in every order that
 * there is. Quoted by docs/guide.md. */
#include <errno.h>
#include <stdio.h>
#include <weft/sim.h>
#include <weft/weft.h>

struct account {
    weft_mutex lock;
    int balance;
};
struct transfer {
    struct account *from, *to;
};

static int move_one(void *p)
{
    struct transfer *t = p;
    weft_mutex_lock(&t->from->lock);
    weft_mutex_lock(&t->to->lock); // the other transfer may hold it, and want ours
    t->from->balance--;
    t->to->balance++;
    weft_mutex_unlock(&t->to->lock);
    weft_mutex_unlock(&t->from->lock);
    return 0;
}

static int there_and_back(void *arg)
{
    (void)arg;
    struct account a = {.balance = 1}, b = {.balance = 1}; // made anew in each schedule
    WEFT_SCOPE(s);
    weft_go_copy(&s, move_one, ((struct transfer){&a, &b}));
    weft_go_copy(&s, move_one, ((struct transfer){&b, &a}));
    int rc = weft_wait(&s);
    WEFT_SIM_CHECK(a.balance == 1 && b.balance == 1);
    return rc;
}

int main(void)
{
    weft_sim_report *r = NULL;
    int rc = weft_sim_run(there_and_back, NULL,
        &(weft_sim_opts){.size = sizeof(weft_sim_opts),
            .name = "transfers",
            .mode = WEFT_SIM_EXHAUSTIVE,
            .quiet = true}, // else it prints what it found by itself
        &r);
    printf("%s\n", rc == -EDEADLK ? "there is an order in which both wait for ever" : "not found");
    // weft_sim_text(r): which fiber waits for which lock, since which step, and how to run it again
    weft_sim_report_free(r);
    return rc != -EDEADLK;
}
