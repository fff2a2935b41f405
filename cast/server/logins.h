// SPDX-License-Identifier: Apache-2.0
/*
 * logins.h - how often somebody may get the console's password wrong.
 *
 * Each source address has LOGIN_TRIES tries, and gets one back every LOGIN_REFILL_NS; all sources
 * together have LOGIN_TRIES_ALL, and get one back every LOGIN_REFILL_ALL_NS. A try is taken before
 * the password is looked at and given back when it was right, so whoever knows it is not counted,
 * and tries that run at once on several workers count each. Past a limit the right password is
 * refused as well: else the answers would go on to tell guesses apart.
 *
 * A source is an IPv4 address, the first 64 bits of an IPv6 address (whoever has one has the whole
 * subnet), or any local socket. Behind a proxy all visitors are one source.
 *
 *     tries left                     A bucket is one number, the time at which it is full again:
 *      5 ┐   ┌──                     due. now >= due: full. Each try moves due by REFILL, and none
 *        │ ╱                         is left when due - now is more than (TRIES - 1) * REFILL.
 *      0 └──────▶ time
 *            due
 *
 *   G1  A source that is not in the table has all its tries: its bucket is full again.
 *   G2  The table does not overflow: a bucket that is not full has had a try within the last
 *       LOGIN_TRIES * LOGIN_REFILL_NS, in which there are fewer than LOGIN_SOURCES tries in all.
 *
 * Any worker may call; a mutex guards all of it, as logins are rare. Nothing waits inside.
 */
#ifndef CAST_LOGINS_H
#define CAST_LOGINS_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <weft/weft.h>

#define LOGIN_TRIES 5
#define LOGIN_REFILL_NS (12 * WEFT_SEC)
#define LOGIN_TRIES_ALL 50
#define LOGIN_REFILL_ALL_NS WEFT_SEC
#define LOGIN_SOURCES 128

struct login_source {
    uint8_t family;     /* AF_INET, AF_INET6, AF_UNIX */
    uint8_t address[8]; /* its begin, as many bytes as count */
    int64_t due_ns;
};

struct logins {
    pthread_mutex_t lock;
    int64_t due_ns; /* of all together */
    struct login_source sources[LOGIN_SOURCES];
};

void logins_init(struct logins *l);
void logins_fini(struct logins *l);
/** Takes a try, at a time of CLOCK_MONOTONIC. Returns how long the source would have to wait for it
 * (then none was taken), or 0. ret_next_ns: how long it would have to wait for the one after. */
int64_t logins_try(
    struct logins *l, const struct sockaddr_storage *from, int64_t now_ns, int64_t *ret_next_ns);
/** The password was right: the try is given back. */
void logins_passed(struct logins *l, const struct sockaddr_storage *from);
#endif
