// SPDX-License-Identifier: Apache-2.0
/* logins.c - buckets of tries; logins.h has the picture and the invariants G1 and G2. */
#include "server/logins.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

_Static_assert(
    LOGIN_TRIES_ALL + LOGIN_TRIES * LOGIN_REFILL_NS / LOGIN_REFILL_ALL_NS < LOGIN_SOURCES, "G2");

void logins_init(struct logins *l)
{
    memset(l, 0, sizeof *l);
    pthread_mutex_init(&l->lock, NULL);
}

void logins_fini(struct logins *l)
{
    pthread_mutex_destroy(&l->lock);
}

static struct login_source source_of(const struct sockaddr_storage *from)
{
    struct login_source s = {.family = (uint8_t)from->ss_family};
    if (from->ss_family == AF_INET) {
        memcpy(s.address, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
    } else if (from->ss_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(a);
        s.family = mapped ? AF_INET : AF_INET6;
        memcpy(s.address, mapped ? &a->s6_addr[12] : a->s6_addr, mapped ? 4 : 8);
    }
    return s;
}

static bool same(const struct login_source *a, const struct login_source *b)
{
    return a->family == b->family && memcmp(a->address, b->address, sizeof a->address) == 0;
}

/* The source's place, or one whose bucket is full. */
static struct login_source *place_locked(
    struct logins *l, const struct login_source *want, int64_t now_ns)
{
    struct login_source *spare = NULL;
    for (int i = 0; i < LOGIN_SOURCES; i++) {
        if (same(&l->sources[i], want))
            return &l->sources[i];
        if (l->sources[i].due_ns <= now_ns)
            spare = &l->sources[i];
    }
    assert(spare); /* G2 */
    *spare = *want;
    return spare;
}

/* How long to wait for a try; 0: it may be had now. */
static int64_t wait_ns(int64_t due_ns, int64_t now_ns, int tries, int64_t refill_ns)
{
    int64_t left_ns = due_ns - now_ns - (tries - 1) * refill_ns;
    return left_ns > 0 ? left_ns : 0;
}

static int64_t longer_wait_locked(
    const struct logins *l, const struct login_source *s, int64_t now_ns)
{
    int64_t own_ns = wait_ns(s->due_ns, now_ns, LOGIN_TRIES, LOGIN_REFILL_NS);
    int64_t all_ns = wait_ns(l->due_ns, now_ns, LOGIN_TRIES_ALL, LOGIN_REFILL_ALL_NS);
    return own_ns > all_ns ? own_ns : all_ns;
}

static void take(int64_t *due_ns, int64_t now_ns, int64_t refill_ns)
{
    *due_ns = (*due_ns > now_ns ? *due_ns : now_ns) + refill_ns;
}

int64_t logins_try(
    struct logins *l, const struct sockaddr_storage *from, int64_t now_ns, int64_t *ret_next_ns)
{
    struct login_source want = source_of(from);
    pthread_mutex_lock(&l->lock);
    struct login_source *s = place_locked(l, &want, now_ns);
    int64_t left_ns = longer_wait_locked(l, s, now_ns);
    if (left_ns == 0) {
        take(&s->due_ns, now_ns, LOGIN_REFILL_NS);
        take(&l->due_ns, now_ns, LOGIN_REFILL_ALL_NS);
    }
    *ret_next_ns = longer_wait_locked(l, s, now_ns);
    pthread_mutex_unlock(&l->lock);
    return left_ns;
}

void logins_passed(struct logins *l, const struct sockaddr_storage *from)
{
    struct login_source who = source_of(from);
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < LOGIN_SOURCES; i++)
        if (same(&l->sources[i], &who))
            l->sources[i].due_ns -= LOGIN_REFILL_NS;
    l->due_ns -= LOGIN_REFILL_ALL_NS;
    pthread_mutex_unlock(&l->lock);
}
