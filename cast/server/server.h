// SPDX-License-Identifier: Apache-2.0
/*
 * server.h - the weftcast process: shards, listeners, signals, from start to exit.
 *
 *     main thread            waits for SIGTERM, SIGINT, SIGHUP; reads the configuration anew
 *     worker 0 … n-1         one pinned loop each: a shard (session/shard.h) and its sockets
 *       └ worker 0           also holds the listeners, and deals out what it accepts
 *
 * One acceptor, not one listener a worker: the kernel's spreading by hash leaves some workers with
 * a third more than others when connections are few and long, and waking every worker for every
 * connection costs each of them. A new socket goes to the worker with the fewest; accepting one and
 * posting it costs 3 µs of worker 0, while its upgrade and its life cost the worker that gets it.
 */
#ifndef CAST_SERVER_H
#define CAST_SERVER_H
#include "config/config.h"

/**
 * cast_serve - serve until SIGTERM or SIGINT.
 * @cfg: borrowed for the call; a reference is taken by whoever keeps it.
 *
 * Listens, says so in the log, and serves. SIGHUP reads the configuration again. SIGTERM and SIGINT
 * drain: no more accepts, clients are closed with the protocol's shutdown code, and after
 * shutdown.timeout the rest is left. A second one ends at once.
 *
 * Returns the exit status: 0 after a drain, 1 when it could not start (one line in the log says
 * why) or the drain ran out of time.
 * Blocks the thread. Call it once, from the main thread, with no other threads running.
 */
int cast_serve(const struct cast_config *cfg);
#endif
