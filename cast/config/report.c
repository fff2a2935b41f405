// SPDX-License-Identifier: Apache-2.0
/* report.c - a snapshot's warnings as lines of the log, with Centrifugo's words where it has them.
 */
#include "config/config.h"
#include "log/cast_log.h"

static void log_unknown(const char *field, const char *message, const struct cast_config_warning *w)
{
    if (w->near[0])
        cast_log(CAST_LOG_WARN, message, LOG_STR(field, w->key), LOG_STR("nearest", w->near));
    else
        cast_log(CAST_LOG_WARN, message, LOG_STR(field, w->key));
}

void cast_config_log_warnings(const struct cast_config *cfg)
{
    size_t count;
    const struct cast_config_warning *list = cast_config_warnings(cfg, &count);
    for (size_t i = 0; i < count; i++) {
        const struct cast_config_warning *w = &list[i];
        switch (w->kind) {
        case CAST_CONFIG_NO_FILE:
            cast_log(CAST_LOG_WARN,
                "config file not found, continue using environment and flag options",
                LOG_STR("path", w->key));
            break;
        case CAST_CONFIG_UNKNOWN_KEY:
            log_unknown("key", "unknown key in configuration file", w);
            break;
        case CAST_CONFIG_UNKNOWN_ENV:
            log_unknown("var", "unknown var in environment", w);
            break;
        case CAST_CONFIG_NOT_YET_KEY:
            cast_log(CAST_LOG_WARN, "setting is known and not supported yet",
                LOG_STR("key", w->key), LOG_STR("instead", w->near));
            break;
        case CAST_CONFIG_NOTICE:
            cast_log(CAST_LOG_WARN, w->near, LOG_STR("key", w->key));
            break;
        }
    }
}
