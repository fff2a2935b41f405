// SPDX-License-Identifier: Apache-2.0
/*
 * rights.h - what a client may do in a channel, by the namespace's options.
 *
 * Pure functions of the options, the user, and whether the client is subscribed. A right for
 * clients needs, for the anonymous user (""), the matching right for anonymous ones too; the latter
 * alone gives nobody anything.
 */
#ifndef CAST_RIGHTS_H
#define CAST_RIGHTS_H
#include "config/config.h"

enum right { RIGHT_PUBLISH, RIGHT_PRESENCE, RIGHT_HISTORY };

static inline bool right_given(
    bool anonymous, bool for_client, bool for_subscriber, bool for_anonymous, bool subscribed)
{
    return (for_client || (for_subscriber && subscribed)) && (!anonymous || for_anonymous);
}

/** Whether a client may publish, see presence, or read history. */
static inline bool right_has(const struct cast_config *cfg, const struct cast_channel_options *o,
    enum right what, bool anonymous, bool subscribed)
{
    if (cfg->client.insecure)
        return true;
    switch (what) {
    case RIGHT_PUBLISH:
        return right_given(anonymous, o->allow_publish_for_client, o->allow_publish_for_subscriber,
            o->allow_publish_for_anonymous, subscribed);
    case RIGHT_PRESENCE:
        return right_given(anonymous, o->allow_presence_for_client,
            o->allow_presence_for_subscriber, o->allow_presence_for_anonymous, subscribed);
    default:
        return right_given(anonymous, o->allow_history_for_client, o->allow_history_for_subscriber,
            o->allow_history_for_anonymous, subscribed);
    }
}

/** Whether a client may subscribe without a token. */
static inline bool right_subscribe(const struct cast_config *cfg,
    const struct cast_channel_name *name, const char *channel, size_t channel_bytes,
    const char *user, size_t user_bytes)
{
    const struct cast_channel_options *o = name->options;
    if (name->is_private)
        return false;
    if (name->is_user_limited && o->allow_user_limited_channels)
        return user_bytes > 0 &&
               cast_config_user_allowed(cfg, channel, channel_bytes, user, user_bytes);
    return cfg->client.insecure || right_given(user_bytes == 0, o->allow_subscribe_for_client,
                                       false, o->allow_subscribe_for_anonymous, false);
}
#endif
