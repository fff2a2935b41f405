// SPDX-License-Identifier: Apache-2.0
/*
 * tlog.h - the stream of one channel as an append-only log of bytes that are ready for a socket.
 *
 * What: a message is encoded and framed once, appended here, and then every subscriber is only a
 * cursor: what it has not got yet is the range from its cursor to the head, and that range goes out
 * in one system call however many messages lie in it. A slow subscriber is a cursor that lags, so
 * it costs no queue; the oldest cursor decides what is kept.
 *
 *                  ┌──────────── chunk ────────────┐   ┌────────── chunk ──────────┐
 *     released ──▶ │ frame │ frame │ frame │ frame │──▶│ frame │ frame │   free     │
 *                  └───────────────▲───────────────┘   └───────────────▲────────────┘
 *                       base       │ a cursor's pos              head  │ appended here
 *
 * Why a chain of chunks, and not one double-mapped ring a channel: a mapping costs a page, two
 * kernel objects and a file at least, and the kernel allows 65,530 of them, where 100,000 quiet
 * channels are usual. A chain starts at 256 bytes (a channel that speaks seldom holds one such
 * chunk: 24 + 256 bytes) and grows with the rate: a chunk that filled within 100 ms is followed by
 * one twice as large, up to 256 KiB, one that took longer than a second by one half as large. A
 * frame never straddles two chunks, so a range is one piece but where it crosses into the next
 * chunk, and then it is two pieces of the same sendmsg. At 256 KiB and 128-byte messages that is
 * one pass in thirty.
 *
 * Invariants
 *   L1  Positions count bytes since the log began; head never goes back.
 *   L2  A chunk's bytes below head are never written again.
 *   L3  next and end of a chunk are set before head passes its end.
 *   L4  A chunk lives while somebody holds it: the log its last one, a cursor the one it stands in,
 *       a chunk its successor.
 *   L5  A cursor between two calls of tlog_advance by whole frames stands at a frame's first byte.
 *
 * Who may call what: append and cursor_start only on the log's own (home) shard. Every other call
 * on a cursor by the one shard that owns the cursor; that may be another shard, meanwhile the home
 * appends. ref/unref anywhere.
 *
 * Memory model: the home writes bytes, then next/end of the old chunk where one filled, then head
 * [mo:tlog-head: release]. A reader loads head first [mo:tlog-head: acquire], so all bytes below it
 * are there, and then, at a chunk's end, next [mo:tlog-next: release/acquire]: if head lies past
 * the chunk's end, L3 has made next visible already. Reference counts go down with
 * [mo:tlog-refs: acq_rel], so the last holder frees after everybody's reads.
 *
 * Progress: all calls wait-free but for the allocator. Limits: one frame up to 4 GiB - 1.
 */
#ifndef CAST_TLOG_H
#define CAST_TLOG_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct tchunk;

struct tlog {
    _Atomic uint64_t head;
    _Atomic uint32_t refs;
    uint32_t chunk_bytes; /* size of the last chunk */
    struct tchunk *tail;  /* home only */
    int64_t tail_since_ms;
};

/** Where one reader stands. Owned by one shard. */
struct tcursor {
    struct tchunk *chunk;
    uint64_t pos;
};

/** A new log with one small chunk, one reference; NULL without memory. */
struct tlog *tlog_new(int64_t now_ms);
struct tlog *tlog_ref(struct tlog *log);
/** NULL is fine. The last reference frees the log; chunks stay while cursors stand in them. */
void tlog_unref(struct tlog *log);

/**
 * tlog_append - put one whole frame, given in parts, behind the head.
 * Returns 0 or -ENOMEM (then nothing was appended). Home shard only.
 */
int tlog_append(struct tlog *log, const struct iovec *parts, int parts_count, int64_t now_ms);
/** The position behind the last byte that may be read. Any shard. */
uint64_t tlog_head(const struct tlog *log);

/** A cursor at the head: it will see what is appended from now on. Home shard only; the cursor may
 * then be given to another shard through a queue. */
void tcursor_start(struct tcursor *cur, struct tlog *log);
/** A second cursor at the same place. */
void tcursor_copy(struct tcursor *ret, const struct tcursor *from);
/** Gives the cursor's place up. Of a zeroed cursor: nothing. */
void tcursor_drop(struct tcursor *cur);
/**
 * tcursor_ranges - what lies between the cursor and `head` (of tlog_head, or an earlier value).
 * Fills up to max pieces in order; returns how many (0: nothing to read). Pieces stay good until
 * the cursor moves on.
 */
int tcursor_ranges(const struct tcursor *cur, uint64_t head, struct iovec *ret, int max);
/** Moves the cursor over bytes that it has been shown. */
void tcursor_advance(struct tcursor *cur, uint64_t bytes);
#endif
