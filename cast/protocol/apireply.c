// SPDX-License-Identifier: Apache-2.0
/*
 * apireply.c - results and errors of the HTTP server API as JSON (api.h).
 *
 * The three shapes (single, batched, legacy) differ only in what stands around a result, so that is
 * all that open, close and error know; the put functions write the bare result object. Separators
 * are decided by what was written before (cast_out_comma), so a caller streams its replies.
 */
#include "protocol/api.h"

void cast_api_open(struct cast_out *o, const struct cast_api_frame *f)
{
    if (f->shape == CAST_API_BATCHED) {
        cast_out_comma(o);
        CAST_OUT_LIT(o, "{\"");
        cast_out_put(o, weft_span_of(cast_api_method_name(f->method)));
        CAST_OUT_LIT(o, "\":");
        return;
    }
    if (f->shape == CAST_API_LEGACY && o->used)
        cast_out_char(o, '\n');
    cast_out_char(o, '{');
    if (f->shape == CAST_API_LEGACY && f->id) {
        CAST_OUT_LIT(o, "\"id\":");
        cast_out_u64(o, f->id);
    }
    CAST_OUT_KEY(o, "result");
}

void cast_api_close(struct cast_out *o, const struct cast_api_frame *f)
{
    cast_out_char(o, '}');
}

void cast_api_error_bare(struct cast_out *o, const struct cast_error *e)
{
    CAST_OUT_LIT(o, "{\"code\":");
    cast_out_u64(o, e->code);
    if (e->message.len) {
        CAST_OUT_LIT(o, ",\"message\":");
        cast_out_string(o, e->message);
    }
    cast_out_char(o, '}');
}

void cast_api_error(struct cast_out *o, const struct cast_api_frame *f, const struct cast_error *e)
{
    if (f->shape == CAST_API_BATCHED)
        cast_out_comma(o);
    if (f->shape == CAST_API_LEGACY && o->used)
        cast_out_char(o, '\n');
    cast_out_char(o, '{');
    if (f->shape == CAST_API_LEGACY && f->id) {
        CAST_OUT_LIT(o, "\"id\":");
        cast_out_u64(o, f->id);
    }
    CAST_OUT_KEY(o, "error");
    cast_api_error_bare(o, e);
    cast_out_char(o, '}');
}

void cast_api_batch_open(struct cast_out *o, size_t count)
{
    if (count)
        CAST_OUT_LIT(o, "{\"replies\":[");
    else
        cast_out_char(o, '{');
}

void cast_api_batch_close(struct cast_out *o, size_t count)
{
    if (count)
        cast_out_char(o, ']');
    cast_out_char(o, '}');
}

void cast_api_put_empty(struct cast_out *o)
{
    CAST_OUT_LIT(o, "{}");
}

void cast_api_put_publish(struct cast_out *o, uint64_t offset, struct weft_span epoch)
{
    cast_out_char(o, '{');
    if (offset) {
        CAST_OUT_LIT(o, "\"offset\":");
        cast_out_u64(o, offset);
    }
    if (epoch.len) {
        CAST_OUT_KEY(o, "epoch");
        cast_out_string(o, epoch);
    }
    cast_out_char(o, '}');
}

void cast_api_broadcast_open(struct cast_out *o)
{
    CAST_OUT_LIT(o, "{\"responses\":[");
}

void cast_api_broadcast_result(struct cast_out *o, uint64_t offset, struct weft_span epoch)
{
    cast_out_comma(o);
    CAST_OUT_LIT(o, "{\"result\":");
    cast_api_put_publish(o, offset, epoch);
    cast_out_char(o, '}');
}

void cast_api_broadcast_error(struct cast_out *o, const struct cast_error *e)
{
    cast_out_comma(o);
    CAST_OUT_LIT(o, "{\"error\":");
    cast_api_error_bare(o, e);
    cast_out_char(o, '}');
}

void cast_api_broadcast_close(struct cast_out *o)
{
    CAST_OUT_LIT(o, "]}");
}

void cast_api_put_presence(struct cast_out *o, const struct cast_client_info *infos, size_t count)
{
    cast_put_presence(o, infos, count);
}

void cast_api_put_presence_stats(struct cast_out *o, const struct cast_presence_stats *r)
{
    cast_put_presence_stats(o, r);
}

void cast_api_put_history(struct cast_out *o, const struct cast_history_result *r)
{
    cast_put_history(o, r, false);
}

void cast_api_channels_open(struct cast_out *o)
{
    CAST_OUT_LIT(o, "{\"channels\":{");
}

void cast_api_channels_entry(struct cast_out *o, struct weft_span channel, uint32_t num_clients)
{
    cast_out_comma(o);
    cast_out_string(o, channel);
    CAST_OUT_LIT(o, ":{");
    if (num_clients) {
        CAST_OUT_LIT(o, "\"num_clients\":");
        cast_out_u64(o, num_clients);
    }
    cast_out_char(o, '}');
}

void cast_api_channels_close(struct cast_out *o)
{
    CAST_OUT_LIT(o, "}}");
}

void cast_api_put_rpc(struct cast_out *o, struct weft_span data)
{
    cast_out_char(o, '{');
    if (data.len) {
        CAST_OUT_LIT(o, "\"data\":");
        cast_out_put(o, data);
    }
    cast_out_char(o, '}');
}

static void put_metrics(struct cast_out *o, const struct cast_api_node *n)
{
    CAST_OUT_LIT(o, ",\"metrics\":{\"interval\":");
    cast_out_double(o, n->metrics_interval_s);
    if (n->metric_count) {
        CAST_OUT_LIT(o, ",\"items\":{");
        for (size_t i = 0; i < n->metric_count; i++) {
            cast_out_comma(o);
            cast_out_string(o, n->metrics[i].name);
            cast_out_char(o, ':');
            cast_out_double(o, n->metrics[i].value);
        }
        cast_out_char(o, '}');
    }
    cast_out_char(o, '}');
}

static void put_node(struct cast_out *o, const struct cast_api_node *n)
{
    CAST_OUT_LIT(o, "{\"uid\":");
    cast_out_string(o, n->uid);
    CAST_OUT_LIT(o, ",\"name\":");
    cast_out_string(o, n->name);
    CAST_OUT_LIT(o, ",\"version\":");
    cast_out_string(o, n->version);
    CAST_OUT_LIT(o, ",\"num_clients\":");
    cast_out_u64(o, n->num_clients);
    CAST_OUT_LIT(o, ",\"num_users\":");
    cast_out_u64(o, n->num_users);
    CAST_OUT_LIT(o, ",\"num_channels\":");
    cast_out_u64(o, n->num_channels);
    if (n->uptime_s) {
        CAST_OUT_LIT(o, ",\"uptime\":");
        cast_out_u64(o, n->uptime_s);
    }
    if (n->metrics_interval_s > 0)
        put_metrics(o, n);
    CAST_OUT_LIT(o, ",\"num_subs\":");
    cast_out_u64(o, n->num_subs);
    cast_out_char(o, '}');
}

void cast_api_put_info(struct cast_out *o, const struct cast_api_node *nodes, size_t count)
{
    CAST_OUT_LIT(o, "{\"nodes\":[");
    for (size_t i = 0; i < count; i++) {
        cast_out_comma(o);
        put_node(o, &nodes[i]);
    }
    CAST_OUT_LIT(o, "]}");
}
