// SPDX-License-Identifier: Apache-2.0
/* fan_internal.h - what sink.c and fanout.c share and nobody else may call. */
#ifndef CAST_FAN_INTERNAL_H
#define CAST_FAN_INTERNAL_H
#include "core/fanout.h"

/** Marks a sink as failed and has on_failure told at the end of the turn. */
void fan__fail(struct sink *s, enum sink_failure why);
/** Up to so many subs a flush looks at every one of them. */
#define FAN_FEW_SUBS 16

/** Fails a blocked sink that lags too far; `grown` is what one part of its lag has come to. */
void fan__check_slow(struct sink *s, uint64_t grown);
/** Has the fan's deferred part run with this turn. */
void fan__arm(struct fan *f);
/** Sends one sub its range; for a sink without private bytes. */
void fan__send_sub(struct sink *s, struct sub *sub);

/** Sends that a pass has gathered, so that the loop may hand them to the kernel together. */
#define FAN_BATCH 128
struct fan_batch {
    int count;
    weft_loop_send_op ops[FAN_BATCH];
    struct sub *subs[FAN_BATCH];
};
/** As fan__send_sub, now or with the batch; one sub is put in once at most. */
void fan__send_later(struct fan_batch *b, struct sink *s, struct sub *sub);
/** Sends what the batch holds, and empties it. */
void fan__send_batch(struct fan *f, struct fan_batch *b);
#endif
