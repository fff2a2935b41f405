// SPDX-License-Identifier: Apache-2.0
/*
 * codes.h - the numbers of Centrifugo's protocol: errors, disconnects, unsubscribes, HTTP statuses.
 *
 * Clients act on the ranges, so the numbers are part of the protocol:
 *   errors       100-113 the server's, 400-1999 the application's; `temporary` = worth a retry
 *   disconnects  3000-3499, 4000-4499, >= 5000: the client reconnects; 3500-3999, 4500-4999: not
 *   unsubscribes 2000-2499 terminal, >= 2500: the client subscribes again
 */
#ifndef CAST_PROTOCOL_CODES_H
#define CAST_PROTOCOL_CODES_H
#include "protocol/castspan.h"
#include <stdbool.h>
#include <stdint.h>

enum cast_error_code {
    CAST_ERR_INTERNAL = 100,
    CAST_ERR_UNAUTHORIZED = 101,
    CAST_ERR_UNKNOWN_CHANNEL = 102,
    CAST_ERR_PERMISSION_DENIED = 103,
    CAST_ERR_METHOD_NOT_FOUND = 104,
    CAST_ERR_ALREADY_SUBSCRIBED = 105,
    CAST_ERR_LIMIT_EXCEEDED = 106,
    CAST_ERR_BAD_REQUEST = 107,
    CAST_ERR_NOT_AVAILABLE = 108,
    CAST_ERR_TOKEN_EXPIRED = 109,
    CAST_ERR_EXPIRED = 110,
    CAST_ERR_TOO_MANY_REQUESTS = 111,
    CAST_ERR_UNRECOVERABLE_POSITION = 112,
    CAST_ERR_CONCURRENT_PAGINATION = 113,
};

/** An error as it stands in a reply; an application's own may be built by hand. */
struct cast_error {
    uint32_t code;
    bool temporary;
    struct weft_span message;
};

/** cast_error_find - the client protocol's error with this code; the internal one for a number that
 * has none. Static storage. */
const struct cast_error *cast_error_find(uint32_t code);

/** cast_api_error_find - the same for the HTTP API, whose texts differ (104 "not found", 113
 * "conflict") and which has no `temporary`. */
const struct cast_error *cast_api_error_find(uint32_t code);

/** cast_api_error_status - the HTTP status of an API error under the error mode "transport". */
int cast_api_error_status(uint32_t code);

enum cast_disconnect_code {
    CAST_DIS_CONNECTION_CLOSED = 3000, // never sent
    CAST_DIS_SHUTDOWN = 3001,
    CAST_DIS_INTERNAL = 3004,
    CAST_DIS_EXPIRED = 3005,
    CAST_DIS_SUB_EXPIRED = 3006,
    CAST_DIS_SLOW = 3008,
    CAST_DIS_WRITE_ERROR = 3009,
    CAST_DIS_INSUFFICIENT_STATE = 3010,
    CAST_DIS_FORCE_RECONNECT = 3011,
    CAST_DIS_NO_PONG = 3012,
    CAST_DIS_TOO_MANY_REQUESTS = 3013,
    CAST_DIS_STATE_INVALIDATED = 3014,
    CAST_DIS_INVALID_TOKEN = 3500,
    CAST_DIS_BAD_REQUEST = 3501,
    CAST_DIS_STALE = 3502,
    CAST_DIS_FORCE_NO_RECONNECT = 3503,
    CAST_DIS_CONNECTION_LIMIT = 3504,
    CAST_DIS_CHANNEL_LIMIT = 3505,
    CAST_DIS_INAPPROPRIATE_PROTOCOL = 3506,
    CAST_DIS_PERMISSION_DENIED = 3507,
    CAST_DIS_NOT_AVAILABLE = 3508,
    CAST_DIS_TOO_MANY_ERRORS = 3509,
};

/** A close of the connection: WebSocket close code and reason, or the fields of a disconnect push.
 */
struct cast_disconnect {
    uint32_t code;
    struct weft_span reason;
};

/** cast_disconnect_find - the protocol's disconnect with this code; NULL for a number of nobody's.
 */
const struct cast_disconnect *cast_disconnect_find(uint32_t code);

/** cast_disconnect_reconnects - will a client come back after this code? */
bool cast_disconnect_reconnects(uint32_t code);

enum cast_unsubscribe_code {
    CAST_UNSUB_CLIENT = 0,       // never sent
    CAST_UNSUB_DISCONNECTED = 1, // never sent
    CAST_UNSUB_SERVER = 2000,
    CAST_UNSUB_INSUFFICIENT_STATE = 2500,
    CAST_UNSUB_EXPIRED = 2501,
    CAST_UNSUB_STATE_INVALIDATED = 2502,
};

/** cast_unsubscribe_reason - the text that goes with an unsubscribe code; empty for an unknown one.
 */
struct weft_span cast_unsubscribe_reason(uint32_t code);
#endif
