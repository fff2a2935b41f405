// SPDX-License-Identifier: Apache-2.0
/* apiserve.c - requests to the server API: decoding, one item after the other, the answer. */
#include "server/apicall.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the end ---- */

static void call_free(struct api_call *k)
{
    cast_out_fini(&k->out);
    cast_scratch_fini(&k->scratch);
    free(k->parts);
    free(k->items);
    free(k->body);
    free(k);
}

static void finish(struct api_call *k)
{
    struct peer *p = k->wait.peer;
    if (k->batch)
        cast_api_batch_close(&k->out, k->count);
    if (p) {
        struct weft_span body = cast_out_span(&k->out);
        if (k->out.err)
            http_answer_text(p, 500, "Internal Server Error\n");
        else
            http_answer(p, k->status, "application/json", NULL, body);
    }
    call_free(k);
}

/* Runs items until one has to wait. Not recursive: an item that ends inside its start only marks
 * that it has. */
static void run(struct api_call *k)
{
    k->running = true;
    while (k->at < k->count) {
        struct api_item *item = &k->items[k->at];
        k->stepped = false;
        k->w->shard.n
            .api_commands[item->req.method <= CAST_API_BATCH ? item->req.method : CAST_API_RPC]++;
        if (item->error)
            api_item_error(k, item->error);
        else
            api_work(k, item);
        if (!k->stepped) {
            k->running = false;
            return;
        }
    }
    finish(k);
}

static void item_done(struct api_call *k)
{
    k->at++;
    k->stepped = true;
    if (!k->running)
        run(k);
}

void api_item_error(struct api_call *k, uint32_t code)
{
    struct api_item *item = &k->items[k->at];
    k->w->shard.n.api_errors++;
    if (k->transport_errors && item->frame.shape == CAST_API_SINGLE) {
        k->status = cast_api_error_status(code);
        cast_api_error_bare(&k->out, cast_api_error_find(code));
    } else {
        cast_api_error(&k->out, &item->frame, cast_api_error_find(code));
    }
    item_done(k);
}

void api_item_open(struct api_call *k)
{
    cast_api_open(&k->out, &k->items[k->at].frame);
}

void api_item_close(struct api_call *k)
{
    cast_api_close(&k->out, &k->items[k->at].frame);
    item_done(k);
}

/* ---- the beginning ---- */

static int items_room(struct api_call *k, size_t count)
{
    if (count == 0)
        return 0;
    struct api_item *grown = realloc(k->items, count * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    k->items = grown;
    return 0;
}

static uint32_t decode_error(enum cast_api_method m)
{
    if (m == CAST_API_NULL)
        return CAST_ERR_BAD_REQUEST;
    return m == CAST_API_NONE || m == CAST_API_BATCH ? CAST_ERR_METHOD_NOT_FOUND : 0;
}

static int take_batch(struct api_call *k, const struct cast_api_batch *batch)
{
    k->batch = true;
    k->transport_errors = false;
    if (items_room(k, batch->count) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < batch->count; i++) {
        const struct cast_api_request *r = &batch->commands[i];
        k->items[i] = (struct api_item){
            .frame = {CAST_API_BATCHED, r->method, 0}, .req = *r, .error = decode_error(r->method)};
    }
    k->count = batch->count;
    cast_api_batch_open(&k->out, k->count);
    return 0;
}

static int take_single(struct api_call *k, enum cast_api_method method, struct weft_span body)
{
    struct cast_api_request req;
    int rc = cast_api_decode(method, body, &k->scratch, &req);
    if (rc < 0)
        return rc;
    if (method == CAST_API_BATCH)
        return take_batch(k, &req.batch);
    if (items_room(k, 1) < 0)
        return -ENOMEM;
    k->items[0] = (struct api_item){.frame = {CAST_API_SINGLE, method, 0}, .req = req};
    k->count = 1;
    return 0;
}

static int take_legacy(struct api_call *k, struct weft_span body)
{
    struct cast_json j;
    struct cast_api_legacy one;
    int rc;
    k->transport_errors = false;
    cast_json_init(&j, body, &k->scratch);
    while ((rc = cast_api_legacy_next(&j, &one)) == 1) {
        if ((k->count & (k->count - 1)) == 0 && items_room(k, k->count ? k->count * 2 : 1) < 0)
            return -ENOMEM;
        struct api_item *item = &k->items[k->count++];
        *item = (struct api_item){
            .frame = {CAST_API_LEGACY, one.method, one.id}, .error = decode_error(one.method)};
        if (item->error)
            continue;
        rc = one.params.data ? cast_api_decode(one.method, one.params, &k->scratch, &item->req)
                             : -EBADMSG;
        if (rc == -ENOMEM)
            return rc;
        if (rc < 0)
            item->error = CAST_ERR_BAD_REQUEST;
    }
    return rc == 0 && k->count == 0 ? -EBADMSG : rc;
}

void api_serve(struct peer *p)
{
    struct http *h = p->http;
    struct api_call *k = calloc(1, sizeof *k);
    if (!k) {
        http_answer_text(p, 500, "Internal Server Error\n");
        return;
    }
    k->w = p->worker;
    k->kind = h->route.kind;
    k->status = 200;
    k->transport_errors = h->transport_errors;
    k->body = h->body;
    h->body = NULL;
    struct weft_span body = {k->body ? k->body : "", h->body_bytes};
    cast_scratch_init(&k->scratch, NULL, 0);
    cast_out_init(&k->out);
    int rc =
        h->route.kind == ROUTE_API ? take_single(k, h->route.method, body) : take_legacy(k, body);
    if (rc < 0) {
        http_answer_text(p, rc == -ENOMEM ? 500 : 400,
            rc == -ENOMEM ? "Internal Server Error\n" : "Bad Request\n");
        call_free(k);
        return;
    }
    k->wait.peer = p;
    h->wait = &k->wait;
    run(k);
}
