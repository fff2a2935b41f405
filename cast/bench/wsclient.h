// SPDX-License-Identifier: Apache-2.0
/*
 * wsclient.h - what both sides of the generator need of WebSocket as a client: the handshake as
 * bytes, and masked frames.
 *
 * One key and one mask a process: the server must not care, and a generator has nobody to protect
 * from its own frames.
 */
#ifndef CAST_BENCH_WSCLIENT_H
#define CAST_BENCH_WSCLIENT_H
#include "bench/benchopts.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** wsclient_request - the upgrade request. Returns its bytes, or a negative errno. */
ssize_t wsclient_request(const struct bench_opts *o, char *buf, size_t room);

/**
 * wsclient_answer - look at the server's answer to it.
 * Returns the bytes of the answer's head (what follows are frames), -EAGAIN more is needed,
 *   -ECONNREFUSED another status than 101 (*ret_status says which), -EPROTO no proper upgrade.
 */
ssize_t wsclient_answer(const char *buf, size_t bytes, int *ret_status);

/** wsclient_frame - a masked frame with one text message, or a control frame.
 * out has room for bytes + 14. Returns the bytes written. */
size_t wsclient_frame(char *out, int opcode, const char *data, size_t bytes);

/** wsclient_hello - the connect command, and the subscribe command where asked, one a line. */
size_t wsclient_hello(const struct bench_opts *o, bool subscribe, char *buf, size_t room);

struct wsclient_frame {
    int opcode;
    const char *data;
    size_t bytes;
};
/**
 * wsclient_next - the next whole frame of a server.
 * Returns its bytes with head, 0 when it is not whole yet, -EPROTO when it is none that a server of
 * this protocol sends (masked, fragmented, reserved bits).
 */
ssize_t wsclient_next(const char *buf, size_t bytes, struct wsclient_frame *ret);

/** Nanoseconds of CLOCK_MONOTONIC. */
int64_t wsclient_now_ns(void);
#endif
