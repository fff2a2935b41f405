// SPDX-License-Identifier: Apache-2.0
/*
 * metricspage.c - GET /metrics: Prometheus text, under Centrifugo's names where they have a meaning
 * here, and weftcast_* for what only weftcast has.
 *
 * Counts of messages sent are taken when a message is appended for so many subscribers, not when
 * each has got it; what slow or gone subscribers miss of it is in the disconnects.
 */
#include "server/httppeer.h"
#include "server/totals.h"

#include <stdlib.h>

struct metrics {
    struct http_wait wait; /* first */
    struct worker *w;
};

static void part(struct sweep_part *p)
{
    p->data = totals_make(p->shard);
    sweep_part_done(p);
}

static void family(struct cast_out *o, const char *name, const char *type, const char *help)
{
    CAST_OUT_LIT(o, "# HELP ");
    cast_out_put(o, weft_span_of(name));
    cast_out_char(o, ' ');
    cast_out_put(o, weft_span_of(help));
    CAST_OUT_LIT(o, "\n# TYPE ");
    cast_out_put(o, weft_span_of(name));
    cast_out_char(o, ' ');
    cast_out_put(o, weft_span_of(type));
    cast_out_char(o, '\n');
}

/* labels: "{a=\"b\"}" or "". */
static void sample(struct cast_out *o, const char *name, const char *labels, uint64_t value)
{
    cast_out_put(o, weft_span_of(name));
    cast_out_put(o, weft_span_of(labels));
    cast_out_char(o, ' ');
    cast_out_u64(o, value);
    cast_out_char(o, '\n');
}

static void one(
    struct cast_out *o, const char *name, const char *type, const char *help, uint64_t value)
{
    family(o, name, type, help);
    sample(o, name, "", value);
}

static void put_node(struct cast_out *o, const struct totals *t)
{
    family(o, "centrifugo_node_build", "gauge", "Version of the server.");
    sample(o, "centrifugo_node_build", "{version=\"" CAST_VERSION_TEXT "\"}", 1);
    one(o, "centrifugo_node_num_nodes", "gauge", "Nodes of the cluster.", 1);
    one(o, "centrifugo_node_num_clients", "gauge", "Connected clients.", t->clients);
    one(o, "centrifugo_node_num_users", "gauge", "Connected users.", t->users);
    one(o, "centrifugo_node_num_subscriptions", "gauge", "Subscriptions.", t->subs);
    one(o, "centrifugo_node_num_channels", "gauge", "Channels with subscribers.", t->channels);
    const char *received = "centrifugo_node_messages_received_count";
    family(o, received, "counter", "Messages published, each once.");
    sample(o, received, "{type=\"publication\"}", t->home.publications);
    sample(o, received, "{type=\"join\"}", t->home.joins);
    sample(o, received, "{type=\"leave\"}", t->home.leaves);
    one(o, "centrifugo_node_messages_sent_count", "counter",
        "Messages times their subscribers, when appended.", t->home.deliveries);
    one(o, "centrifugo_node_client_connection_limit", "counter",
        "Connections refused over a limit.", t->n.connection_limit);
}

static void put_client(struct cast_out *o, const struct totals *t)
{
    char labels[64];
    family(o, "centrifugo_client_connections_accepted", "counter", "Connections, ever.");
    sample(o, "centrifugo_client_connections_accepted", "{transport=\"websocket\"}", t->n.accepted);
    family(o, "centrifugo_client_connections_inflight", "gauge", "Connections now.");
    sample(o, "centrifugo_client_connections_inflight", "{transport=\"websocket\"}", t->clients);
    one(o, "centrifugo_client_subscriptions_inflight", "gauge", "Subscriptions now.", t->subs);
    one(o, "centrifugo_client_num_reply_errors", "counter", "Error replies.", t->n.reply_errors);
    one(o, "centrifugo_client_num_server_unsubscribes", "counter",
        "Subscriptions that the server ended.", t->n.server_unsubscribes);
    const char *closes = "centrifugo_client_num_server_disconnects";
    family(o, closes, "counter", "Connections that the server ended, by code.");
    for (int i = 0; i < SHARD_CODES && t->closes[i].count; i++) {
        snprintf(labels, sizeof labels, "{code=\"%u\"}", t->closes[i].code);
        sample(o, closes, labels, t->closes[i].count);
    }
    family(o, "centrifugo_client_recover", "counter", "Recoveries asked for.");
    sample(o, "centrifugo_client_recover", "{recovered=\"yes\"}", t->n.recovered);
    sample(o, "centrifugo_client_recover", "{recovered=\"no\"}", t->n.not_recovered);
    family(o, "weftcast_client_commands_total", "counter", "Commands of clients.");
    for (int m = 0; m < CAST_METHOD_NONE; m++) {
        snprintf(labels, sizeof labels, "{method=\"%s\"}", cast_method_name((enum cast_method)m));
        sample(o, "weftcast_client_commands_total", labels, t->n.commands[m]);
    }
}

static void put_transport(struct cast_out *o, const struct totals *t)
{
    const char *ws = "{transport=\"websocket\"}";
    family(o, "centrifugo_transport_messages_received", "counter", "WebSocket messages in.");
    sample(o, "centrifugo_transport_messages_received", ws, t->n.messages_in);
    family(o, "centrifugo_transport_messages_received_size", "counter", "Bytes of them.");
    sample(o, "centrifugo_transport_messages_received_size", ws, t->n.bytes_in);
    one(o, "weftcast_sent_bytes_total", "counter", "Bytes given to sockets.", t->bytes_sent);
    one(o, "weftcast_sends_total", "counter", "Calls that gave them.", t->sends);
    one(o, "weftcast_sends_blocked_total", "counter", "Of these, sockets that were full.",
        t->sends_blocked);
    one(o, "weftcast_passes_total", "counter", "Passes over a channel's subscribers.",
        t->fan.passes);
    one(o, "weftcast_slow_disconnects_total", "counter", "Clients that read too slowly.",
        t->fan.slow);
    one(o, "weftcast_sockets_accepted_total", "counter", "Sockets accepted.", t->accepted_sockets);
    one(o, "weftcast_topics", "gauge", "Channels in memory.", t->topics);
    one(o, "weftcast_loop_turns_total", "counter", "Turns of the event loops.", t->loop_turns);
}

static void put_api(struct cast_out *o, const struct totals *t)
{
    char labels[64];
    one(o, "centrifugo_api_command_errors_total", "counter", "Errors of the server API.",
        t->n.api_errors);
    family(o, "weftcast_api_commands_total", "counter", "Commands of the server API.");
    for (int m = 0; m < CAST_API_BATCH; m++) {
        snprintf(labels, sizeof labels, "{method=\"%s\"}",
            cast_api_method_name((enum cast_api_method)m));
        sample(o, "weftcast_api_commands_total", labels, t->n.api_commands[m]);
    }
}

static void done(struct sweep *s)
{
    struct metrics *m = s->arg;
    struct totals t;
    struct cast_out o;
    if (!m->wait.peer)
        return;
    totals_sum(s, &t);
    cast_out_init(&o);
    put_node(&o, &t);
    put_client(&o, &t);
    put_transport(&o, &t);
    put_api(&o, &t);
    if (o.err)
        http_answer_empty(m->wait.peer, 500);
    else
        http_answer(m->wait.peer, 200, "text/plain; version=0.0.4; charset=utf-8", NULL,
            (struct weft_span){o.buf, o.used});
    cast_out_fini(&o);
}

void metrics_serve(struct peer *p)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (!m) {
        http_answer_empty(p, 500);
        return;
    }
    m->wait.peer = p;
    p->http->wait = &m->wait;
    sweep_start(&p->worker->shard, part, done, m, free);
}
