// SPDX-License-Identifier: Apache-2.0
/* dispatch.h - the commands that have files of their own: connect and refresh, subscribe. */
#ifndef CAST_DISPATCH_H
#define CAST_DISPATCH_H
#include "session/client.h"

/* connect.c */
void command_connect(struct client *c, uint32_t id, const struct cast_connect *cmd);
void command_refresh(struct client *c, uint32_t id, const struct cast_refresh *cmd);
/* subscribe.c */
void command_subscribe(struct client *c, uint32_t id, const struct cast_subscribe *cmd);
void command_unsubscribe(struct client *c, uint32_t id, const struct cast_channel_ref *cmd);
void command_sub_refresh(struct client *c, uint32_t id, const struct cast_sub_refresh *cmd);

/** Starts counting an op of a command, and holds the client for it; client_op_ended ends both. */
static inline void command_op_begins(struct client *c, uint32_t home)
{
    client_ref(c);
    c->inflight_publishes = false;
    c->inflight_home = home;
    c->inflight++;
}
/** Looks a client's channel up: false after the error reply or the disconnect. */
bool command_channel(
    struct client *c, uint32_t id, struct weft_span channel, struct cast_channel_name *ret_name);
#endif
