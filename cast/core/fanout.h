// SPDX-License-Identifier: Apache-2.0
/*
 * fanout.h - from a channel's log to the sockets of one shard: outlets, subscribers, passes, sinks.
 *
 *      home shard of the channel                    a shard with subscribers (maybe the same)
 *     ┌──────────────────────────┐    news     ┌──────────────────────────────────────────────┐
 *     │ tlog: frame frame frame ─┼────────────▶│ outlet ── sub ─ cursor ──▶ sink ──▶ socket    │
 *     └──────────────────────────┘             │           sub ─ cursor ──▶ sink ──▶ socket    │
 *                                              │ fan: due outlets, sinks with replies, window │
 *                                              └──────────────────────────────────────────────┘
 *
 * - A SINK is a connection's way out: the socket's record, and private bytes (replies, pings) that
 *   have not left yet; usually there are none and no buffer either.
 * - A SUB joins one sink to one outlet; its cursor says what the client has been given.
 * - An OUTLET is one channel's log as one shard sees it: the local subs in an array, in the order
 *   of their coming, and the head as last told.
 * - A FAN is what a shard needs to run passes, all in the deferred part of a loop's turn: so what
 *   one turn published leaves in one send a subscriber.
 *
 * A PASS gives each sub of an outlet the range from its cursor to the head in one send. It rolls:
 * after PASS_QUANTUM sends it lets the loop turn and goes on where it was, by then with the newer
 * head, so 10,000 subscribers do not hold up anybody's commands. Under load passes follow each
 * other and each carries what came meanwhile.
 *
 * Pacing: a send costs 2 µs whatever it carries, so an outlet with many subs takes a rest after a
 * pass: as long as the pass took, 1 ms at most (or, with `window_ns` set, until so long after the
 * pass began). That costs at most the rest in latency and saves a third of the sends and more.
 * After a quiet time a message leaves at once, and with few subs it always does.
 *
 * Order within one connection
 *   F1  Private bytes leave before anything that lies behind a cursor.
 *   F2  A cursor stands between two frames whenever control is outside this file: what a short send
 *       cut in two is moved to the private bytes, to their front, before anything else is added.
 *   F3  sink_barrier moves what one sub has not been given yet to the private bytes, as lines. So a
 *       reply that is appended afterwards stands behind the publications that it must follow.
 *   F4  Lines appended in one turn share one text frame, joined by line feeds.
 *
 * Slow readers: a socket that is full is marked blocked, and nothing is tried on it until it can
 * take bytes again. When what it lags behind (private bytes and all its cursors) exceeds
 * queue_max_bytes it fails with SINK_SLOW. The queue is the log itself, so its memory does not grow
 * with the number of slow readers.
 *
 * News between shards: the home appends, then sets outlet->told, and posts the outlet's own message
 * if it was clear; the reader clears told, then reads the log's head. Both are read-modify-writes
 * with [mo:outlet-told: acq_rel] on one word: either the reader's clear comes after the home's set
 * and sees everything before it, or it came first and the home posts again. So one message is under
 * way at a time, however many publications there are, and none is lost. It is behind the answer to
 * no publish: messages of one poster keep their order, so when a publisher's shard gets the answer,
 * it has got the news of its publication too.
 *
 * Who may call what: outlet_news on the home shard. outlet_ref/unref anywhere. All else on the
 * shard whose fan it is. `listeners` is the home's, subs and head are the reader's.
 */
#ifndef CAST_FANOUT_H
#define CAST_FANOUT_H
#include "core/table.h"
#include "core/tlog.h"
#include "protocol/castspan.h"

#include <weft/loop.h>

struct outlet;
struct sink;
struct sub;

/* ---- sinks ---- */

enum sink_failure {
    SINK_FINE,
    SINK_BROKEN, /* the socket failed: only to be closed */
    SINK_SLOW,   /* lags more than queue_max_bytes */
    SINK_NO_MEMORY,
};

/** Private bytes: [off, used) wait; from open_at on they are lines of a frame without its head. */
struct outq {
    uint32_t off, used, room;
    uint32_t open_at; /* where the room for the open frame's head is; 0: none open */
    uint32_t rest;    /* bytes at off that end a frame which has partly left already */
    char bytes[];
};

struct sink {
    weft_loop_io io;
    struct fan *fan;
    void *owner;       /* of the caller */
    struct outq *out;  /* NULL when nothing waits */
    struct sub *subs;  /* newest first */
    struct sink *next; /* in fan->flush, or fan->failed */
    uint32_t sub_count;
    bool framed;     /* the private bytes are WebSocket frames */
    bool blocked;    /* waiting for WRITE */
    bool queued;     /* in fan->flush or fan->failed */
    bool closed;     /* sink_end was called: only the private bytes still leave */
    uint8_t failure; /* enum sink_failure */
};

/** Makes a sink for a socket that is about to be added to the loop. io is zeroed. */
void sink_init(struct sink *s, struct fan *fan);
/** Frees what waits; the subs must be gone. */
void sink_fini(struct sink *s);
/** Bytes that wait in the socket's stead: private ones, and behind cursors. */
uint64_t sink_lag(const struct sink *s);
/** One line of the protocol, to leave with this turn (F4). */
void sink_line(struct sink *s, struct weft_span line);
/** Whole frames, or bytes of another protocol, to leave with this turn. */
void sink_bytes(struct sink *s, const void *bytes, size_t count);
/** F3. */
void sink_barrier(struct sink *s, struct sub *sub);
/** Sends what can be sent, now; of a sink with many subs, the private bytes alone. */
void sink_flush(struct sink *s);
/** To be called from the io callback on WRITE, HUP or ERR. */
void sink_writable(struct sink *s);
/** Last bytes (a close frame): what lies behind cursors is given up, and with `drop` the private
 * bytes too, but for the rest of a frame that has begun to leave. Later lines are ignored. */
void sink_end(struct sink *s, const void *bytes, size_t count, bool drop);
/** Whether everything has left. */
static inline bool sink_empty(const struct sink *s)
{
    return !s->out;
}

/* ---- subs and outlets ---- */

/** A subscription's place in the fan-out; first member of the session's own record of it. */
struct sub {
    struct tkey channel;   /* the outlet's, so that subs can stand in a table */
    struct outlet *outlet; /* a reference */
    struct sink *sink;
    struct sub *next; /* of the same sink */
    struct tcursor cur;
    uint32_t index; /* in outlet->subs */
};

struct outlet {
    struct tkey channel; /* first, so that an outlet can be compared by name; name behind it */
    weft_loop_msg msg;
    _Atomic uint32_t told, refs;
    uint32_t listeners; /* home: subscriptions made there, ended or not yet here */
    struct fan *fan;
    struct tlog *log; /* a reference */
    void *home_feed;  /* home: what it belongs to */
    uint64_t head;
    uint64_t pass_head; /* head when the pass began */
    struct sub **subs;
    uint32_t count, room;
    uint32_t scan; /* next of the pass */
    bool due, waiting, passing;
    struct outlet *next;
    int64_t pass_began_ns, rest_until_ns;
    char name[];
};

/** One reference. NULL without memory. */
struct outlet *outlet_new(struct fan *fan, struct tlog *log, struct weft_span channel);
struct outlet *outlet_ref(struct outlet *o);
void outlet_unref(struct outlet *o);
/** The log has grown. Home shard; `here` says that the reader is this very shard. */
void outlet_news(struct outlet *o, bool here);
/** Puts a sub in; takes the outlet's reference and the cursor. Returns 0 or -ENOMEM (then nothing
 * was taken). */
int outlet_add(struct outlet *o, struct sub *sub, struct sink *sink, const struct tcursor *cur);
/** Takes a sub out, of both its lists; what it has not been given is dropped. sub->outlet and its
 * reference stay, now the caller's. */
void outlet_remove(struct sub *sub);

/* ---- fans ---- */

struct fan_stats {
    uint64_t passes, sends, short_sends, slow;
};

struct fan {
    weft_loop *loop;
    weft_loop_msg turn;
    bool turn_queued;
    struct outlet *due, **due_tail; /* to be passed over */
    struct outlet *waiting;         /* for the end of their rest */
    weft_loop_timer rest;
    struct sink *flush;  /* have private bytes of this turn */
    struct sink *failed; /* to be told to on_failure */
    uint32_t queue_max_bytes;
    int64_t window_ns; /* 0: by the time that passes take */
    struct fan_stats stats;
    void (*on_failure)(struct sink *s, enum sink_failure why);
};

/** on_failure is called at the end of a turn, never inside a pass; it may end and free the sink. */
void fan_init(struct fan *f, weft_loop *loop, uint32_t queue_max_bytes, int64_t window_ns,
    void (*on_failure)(struct sink *s, enum sink_failure why));
/** Frees nothing but stops the timer; outlets and sinks must be gone. */
void fan_fini(struct fan *f);
/** Takes a sink that is about to be freed out of the fan's lists. */
void fan_forget(struct fan *f, struct sink *s);
#endif
