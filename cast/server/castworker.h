// SPDX-License-Identifier: Apache-2.0
/*
 * castworker.h - what one thread of the server has, and what all threads share.
 *
 * A worker is a shard and the sockets of its clients. The shared part is immutable after the start,
 * but for three counters that any worker may move: connections (for client.connection_limit), the
 * connections of this second (client.connection_rate_limit), and each worker's number of sockets,
 * by which the acceptor chooses. All three are counts that order nothing [mo:alone: counts].
 */
#ifndef CAST_CASTWORKER_H
#define CAST_CASTWORKER_H
#include "server/logins.h"
#include "server/nodemetrics.h"
#include "session/shard.h"

#include <semaphore.h>

struct peer;
struct server;

struct worker {
    struct shard shard; /* first: loops carry it as their data */
    struct server *server;
    uint32_t index;
    struct peer *peers;       /* all sockets, newest first */
    _Atomic uint32_t sockets; /* here or on their way here */
    weft_loop_msg drain_msg, reload_msg;
    const struct cast_config *next_cfg; /* of a reload under way; a reference */
    bool drained;
    char *buf; /* what is read goes here first */
    int64_t date_s;
    char date[32];
};

#define WORKER_BUF_BYTES (128u << 10)

struct server {
    struct worker *workers;
    struct shard **shards;
    struct fan **fans;
    uint32_t count;
    const struct cast_config *cfg; /* as at the start: ports, transports, keys of the API */
    int64_t started_ns;            /* CLOCK_MONOTONIC */
    char uid[37];
    char node_name[300];
    char admin_secret[257]; /* signs the console's tokens */
    bool admin_open;        /* admin.insecure: loopback only */
    struct logins logins;   /* tries at admin.password */
    struct node_metrics node_metrics;
    _Atomic uint64_t connections;
    _Atomic uint64_t rate; /* second << 32 | connections in it */
    _Atomic uint32_t draining_left;
    int drained_fd; /* eventfd: written when the last worker has drained */
    sem_t reloaded; /* posted by each worker that has taken over a new configuration */
    struct weft_loop_listener *listeners[2];
    bool internal_listener; /* listeners[1] is: api, admin, metrics, health move there */
};

static inline struct worker *worker_of(struct shard *s)
{
    return (struct worker *)s;
}

/** Which endpoints a listener serves. */
enum listener_kind { LISTENER_ALL, LISTENER_PUBLIC, LISTENER_INTERNAL };

/** Opens the listening sockets and starts accepting on worker 0. Returns 0, or a negative errno
 * after a line in the log. */
int listen_start(struct server *srv);
void listen_stop(struct server *srv);
#endif
