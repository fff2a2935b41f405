// SPDX-License-Identifier: Apache-2.0
/* metricset.c - see metricset.h. */
#include "server/metricset.h"

#include <stdio.h>

/* Where a list goes, and the metric under way: its name and kind stay for all its labels. */
struct list {
    metric_fn *fn;
    void *arg;
    struct metric m;
};

static void value_of(struct list *l, const char *label, const char *label_value, uint64_t value)
{
    l->m.label = label;
    l->m.label_value = label_value;
    l->m.value = value;
    l->fn(l->arg, &l->m);
}

static void counters(struct list *l, const char *name, const char *help)
{
    l->m = (struct metric){.name = name, .help = help, .counter = true};
}

static void gauges(struct list *l, const char *name, const char *help)
{
    l->m = (struct metric){.name = name, .help = help};
}

static void counter(struct list *l, const char *name, const char *help, uint64_t value)
{
    counters(l, name, help);
    value_of(l, NULL, NULL, value);
}

static void gauge(struct list *l, const char *name, const char *help, uint64_t value)
{
    gauges(l, name, help);
    value_of(l, NULL, NULL, value);
}

static void node(struct list *l, const struct totals *t)
{
    gauges(l, "centrifugo_node_build", "Version of the server.");
    value_of(l, "version", CAST_VERSION_TEXT, 1);
    gauge(l, "centrifugo_node_num_nodes", "Nodes of the cluster.", 1);
    gauge(l, "centrifugo_node_num_clients", "Connected clients.", t->clients);
    gauge(l, "centrifugo_node_num_users", "Connected users.", t->users);
    gauge(l, "centrifugo_node_num_subscriptions", "Subscriptions.", t->subs);
    gauge(l, "centrifugo_node_num_channels", "Channels with subscribers.", t->channels);
    counters(l, "centrifugo_node_messages_received_count", "Messages published, each once.");
    value_of(l, "type", "publication", t->home.publications);
    value_of(l, "type", "join", t->home.joins);
    value_of(l, "type", "leave", t->home.leaves);
    counter(l, "centrifugo_node_messages_sent_count",
        "Messages times their subscribers, when appended.", t->home.deliveries);
    counter(l, "centrifugo_node_client_connection_limit", "Connections refused over a limit.",
        t->n.connection_limit);
}

static void clients(struct list *l, const struct totals *t)
{
    char code[16];
    counters(l, "centrifugo_client_connections_accepted", "Connections, ever.");
    value_of(l, "transport", "websocket", t->n.accepted);
    gauges(l, "centrifugo_client_connections_inflight", "Connections now.");
    value_of(l, "transport", "websocket", t->clients);
    gauge(l, "centrifugo_client_subscriptions_inflight", "Subscriptions now.", t->subs);
    counter(l, "centrifugo_client_num_reply_errors", "Error replies.", t->n.reply_errors);
    counter(l, "centrifugo_client_num_server_unsubscribes", "Subscriptions that the server ended.",
        t->n.server_unsubscribes);
    counters(l, "centrifugo_client_num_server_disconnects",
        "Connections that the server ended, by code.");
    for (int i = 0; i < SHARD_CODES && t->closes[i].code; i++) {
        snprintf(code, sizeof code, "%u", t->closes[i].code);
        value_of(l, "code", code, t->closes[i].count);
    }
    counters(l, "centrifugo_client_recover", "Recoveries asked for.");
    value_of(l, "recovered", "yes", t->n.recovered);
    value_of(l, "recovered", "no", t->n.not_recovered);
    counters(l, "weftcast_client_commands_total", "Commands of clients.");
    for (int m = 0; m < CAST_METHOD_NONE; m++)
        value_of(l, "method", cast_method_name((enum cast_method)m), t->n.commands[m]);
}

static void transport(struct list *l, const struct totals *t)
{
    counters(l, "centrifugo_transport_messages_received", "WebSocket messages in.");
    value_of(l, "transport", "websocket", t->n.messages_in);
    counters(l, "centrifugo_transport_messages_received_size", "Bytes of them.");
    value_of(l, "transport", "websocket", t->n.bytes_in);
    counter(l, "weftcast_sent_bytes_total", "Bytes given to sockets.", t->bytes_sent);
    counter(l, "weftcast_sends_total", "Calls that gave them.", t->sends);
    counter(
        l, "weftcast_sends_blocked_total", "Of these, sockets that were full.", t->sends_blocked);
    counter(l, "weftcast_passes_total", "Passes over a channel's subscribers.", t->fan.passes);
    counter(l, "weftcast_slow_disconnects_total", "Clients that read too slowly.", t->fan.slow);
    counter(l, "weftcast_sockets_accepted_total", "Sockets accepted.", t->accepted_sockets);
    gauge(l, "weftcast_topics", "Channels in memory.", t->topics);
    counter(l, "weftcast_loop_turns_total", "Turns of the event loops.", t->loop_turns);
}

static void api(struct list *l, const struct totals *t)
{
    counter(l, "centrifugo_api_command_errors_total", "Errors of the server API.", t->n.api_errors);
    counters(l, "weftcast_api_commands_total", "Commands of the server API.");
    for (int m = 0; m < CAST_API_BATCH; m++)
        value_of(l, "method", cast_api_method_name((enum cast_api_method)m), t->n.api_commands[m]);
}

void metrics_each(const struct totals *t, metric_fn *fn, void *arg)
{
    struct list l = {.fn = fn, .arg = arg};
    node(&l, t);
    clients(&l, t);
    transport(&l, t);
    api(&l, t);
}
