// SPDX-License-Identifier: Apache-2.0
/*
 * ws_conn.h - a WebSocket's inside: its files and what they share.
 *
 *     ws_open.c    the two handshakes, making and freeing
 *     ws_recv.c    what comes in, and the end of it
 *     ws_send.c    what goes out
 *
 * The receiving side belongs to one fiber at a time and needs no lock. The sending side is shared:
 *
 *     message_lock   held over a message, so that the fragments of two do not mix
 *       frame_lock   held over a frame; control frames take only this one, and so get between
 *         pong_lock  held over a copy of 125 bytes
 *
 * R1  `reader`, the stream and the assembled message are touched by the receiving fiber only. That
 *     our close frame has gone out it learns from `close_sent`.
 * R2  A pong never waits for a sender: the receiver notes it, and whoever has frame_lock sends it
 *     before giving the lock up. After unlocking, a holder looks once more, and a receiver tries
 *     the lock after noting: one of the two sends it. Of several pings only the last is answered,
 *     as RFC 6455 §5.5.3 allows. It is the connection's and not the holder's: where the holder's
 *     context has ended it goes out under a shield, for close_ns at most.
 * R3  A frame that went out in part sets send_error: nothing can follow it.
 * R4  close_sent is set under frame_lock with the frame itself: no frame follows it. `closing` is
 *     set before: from then on no other frame is begun, so that those who queue for frame_lock are
 *     out of the way at once.
 * R5  `ended` is set once, by the receiving fiber, under end_lock; end_result is the answer to all
 *     later receives.
 * R6  `receiver` is the id of the fiber or plain thread that received last, 0 while none has. Who
 *     closes reads to the end itself if that is its own id or 0: it marks it with CLOSER, in one
 *     step, and others who want to receive then wait for the end. Else it leaves the reading to the
 *     receiver. So there is one who reads at any time.
 * R7  A close frame runs its course though the caller's context has ended, but has a deadline, the
 *     wait for frame_lock included. Who waits sets `closing`, tries the lock, and else waits for
 *     `told`, both under end_lock; a holder unlocks, then looks at `closing`, then tells: no
 *     wake-up is lost. Who cannot have the lock in time shuts the connection, which frees its
 *     holder.
 */
#ifndef WEFT_NET_WS_CONN_H
#define WEFT_NET_WS_CONN_H
#include <weft/cond.h>
#include <weft/mutex.h>
#include <weft/ws.h>

#include "base/atomic.h"
#include "net/netio.h"

enum { WEFT__WS_REASON_MAX = 123, WEFT__WS_SCRATCH_BYTES = 4096, WEFT__WS_RANDOM_BYTES = 128 };

#define WEFT__WS_CLOSER (UINT64_C(1) << 63)
#define WEFT__WS_THREAD                                                                            \
    (UINT64_C(1) << 62) /* with a plain thread's record: fibers' ids are counted */

struct weft_ws {
    enum weft_ws_role role;
    int64_t write_ns, close_ns, ping_ns; /* limits in force: -1 none; ping_ns 0: no pings */
    size_t fragment_bytes;
    char *protocol; /* NULL: none */
    /* receiving (R1) */
    struct weft__stream s;
    struct weft_ws_reader reader;
    uint64_t frame_left; /* of the data frame under way */
    char *message;       /* assembled, where one came in pieces */
    size_t message_len, message_cap;
    bool pinged; /* the peer owes a sign of life */
    int end_code;
    size_t reason_len;
    char reason[WEFT__WS_REASON_MAX];
    _Atomic uint64_t pongs;
    _Atomic uint64_t receiver; /* R6 */
    /* the end (R5) */
    weft_mutex end_lock;
    weft_cond told; /* ended is set, or (R7) frame_lock is free */
    bool ended;
    int end_result;
    /* sending */
    weft_mutex message_lock, frame_lock, pong_lock;
    _Atomic bool closing, close_sent, pong_due;
    int send_error;
    uint8_t pong_len, pong[WEFT_WS_CONTROL_MAX];
    char *scratch; /* client: where payload is masked */
    unsigned random_left;
    uint8_t random[WEFT__WS_RANDOM_BYTES]; /* client: masks to be */
};

/* ws_send.c */
/** One control frame, unless the close frame has gone out (-EPIPE). */
int weft__ws_send_control(weft_ws *ws, enum weft_ws_opcode opcode, struct weft_span payload);
/** The close frame, by the deadline (R7); 0 also if it has gone out before. */
int weft__ws_send_close(weft_ws *ws, int code, struct weft_span reason, int64_t deadline_ns);
/** What is left until a deadline; of none (-1) all time. */
int64_t weft__ws_left(int64_t deadline_ns);
/** R2. An error of sending is left to the next sender. */
void weft__ws_pong(weft_ws *ws, struct weft_span payload);
/** Random bytes from the kernel. 0 or an error. */
int weft__ws_random(void *buf, size_t bytes);
#endif
