// SPDX-License-Identifier: Apache-2.0
/*
 * apicall.h - one request to the server API while it is worked on.
 *
 *     body ──decode──▶ items ──one after the other──▶ out ──▶ answer
 *                        each: checked, then asked of a channel's home or of all shards
 *
 * An item ends by api_item_error or by api_item_open … api_item_close, at once or in a later turn,
 * and the next begins. The call holds the request's bytes, into which all spans of the items point,
 * until it is answered: other shards may read them meanwhile. It lives on one worker; if the peer
 * goes, the work is still done to its end.
 */
#ifndef CAST_APICALL_H
#define CAST_APICALL_H
#include "server/httppeer.h"
#include "session/subs.h"

struct api_item {
    struct cast_api_frame frame;
    struct cast_api_request req;
    uint32_t error; /* found while decoding; 0: none */
};

/** One channel's part of a broadcast. */
struct api_part {
    uint32_t error;
    struct idem_result result;
};

struct api_call {
    struct http_wait wait; /* first */
    struct worker *w;
    char *body;
    struct cast_scratch scratch;
    struct api_item *items;
    size_t count, at;
    struct api_part *parts; /* of a broadcast */
    size_t parts_left;
    enum route_kind kind;
    bool batch, transport_errors, running, stepped;
    int status;
    struct cast_out out;
};

/** Ends the item with an error. */
void api_item_error(struct api_call *k, uint32_t code);
/** Opens the result of the item in k->out, and closes it, which ends the item. */
void api_item_open(struct api_call *k);
void api_item_close(struct api_call *k);
/** Starts an item's work (apiwork.c). */
void api_work(struct api_call *k, struct api_item *item);
#endif
