// SPDX-License-Identifier: Apache-2.0
/*
 * codes.c - the tables behind codes.h: what each number says, and what a client makes of it.
 *
 * Small tables, searched from the front: they are read when something ends or fails, not per
 * message. Static storage, constant: any thread.
 */
#include "protocol/codes.h"

#define TEXT(literal)                                                                              \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct cast_error errors[] = {
    {CAST_ERR_INTERNAL, true, TEXT("internal server error")},
    {CAST_ERR_UNAUTHORIZED, false, TEXT("unauthorized")},
    {CAST_ERR_UNKNOWN_CHANNEL, false, TEXT("unknown channel")},
    {CAST_ERR_PERMISSION_DENIED, false, TEXT("permission denied")},
    {CAST_ERR_METHOD_NOT_FOUND, false, TEXT("method not found")},
    {CAST_ERR_ALREADY_SUBSCRIBED, false, TEXT("already subscribed")},
    {CAST_ERR_LIMIT_EXCEEDED, false, TEXT("limit exceeded")},
    {CAST_ERR_BAD_REQUEST, false, TEXT("bad request")},
    {CAST_ERR_NOT_AVAILABLE, false, TEXT("not available")},
    {CAST_ERR_TOKEN_EXPIRED, false, TEXT("token expired")},
    {CAST_ERR_EXPIRED, false, TEXT("expired")},
    {CAST_ERR_TOO_MANY_REQUESTS, true, TEXT("too many requests")},
    {CAST_ERR_UNRECOVERABLE_POSITION, false, TEXT("unrecoverable position")},
    {CAST_ERR_CONCURRENT_PAGINATION, true, TEXT("concurrent pagination")},
};

static const struct cast_error api_errors[] = {
    {CAST_ERR_INTERNAL, false, TEXT("internal server error")},
    {CAST_ERR_UNKNOWN_CHANNEL, false, TEXT("unknown channel")},
    {CAST_ERR_METHOD_NOT_FOUND, false, TEXT("not found")},
    {CAST_ERR_BAD_REQUEST, false, TEXT("bad request")},
    {CAST_ERR_NOT_AVAILABLE, false, TEXT("not available")},
    {CAST_ERR_UNRECOVERABLE_POSITION, false, TEXT("unrecoverable position")},
    {CAST_ERR_CONCURRENT_PAGINATION, false, TEXT("conflict")},
};

static const struct cast_disconnect disconnects[] = {
    {CAST_DIS_CONNECTION_CLOSED, TEXT("connection closed")},
    {CAST_DIS_SHUTDOWN, TEXT("shutdown")},
    {CAST_DIS_INTERNAL, TEXT("internal server error")},
    {CAST_DIS_EXPIRED, TEXT("connection expired")},
    {CAST_DIS_SUB_EXPIRED, TEXT("subscription expired")},
    {CAST_DIS_SLOW, TEXT("slow")},
    {CAST_DIS_WRITE_ERROR, TEXT("write error")},
    {CAST_DIS_INSUFFICIENT_STATE, TEXT("insufficient state")},
    {CAST_DIS_FORCE_RECONNECT, TEXT("force reconnect")},
    {CAST_DIS_NO_PONG, TEXT("no pong")},
    {CAST_DIS_TOO_MANY_REQUESTS, TEXT("too many requests")},
    {CAST_DIS_STATE_INVALIDATED, TEXT("state invalidated")},
    {CAST_DIS_INVALID_TOKEN, TEXT("invalid token")},
    {CAST_DIS_BAD_REQUEST, TEXT("bad request")},
    {CAST_DIS_STALE, TEXT("stale")},
    {CAST_DIS_FORCE_NO_RECONNECT, TEXT("force disconnect")},
    {CAST_DIS_CONNECTION_LIMIT, TEXT("connection limit")},
    {CAST_DIS_CHANNEL_LIMIT, TEXT("channel limit")},
    {CAST_DIS_INAPPROPRIATE_PROTOCOL, TEXT("inappropriate protocol")},
    {CAST_DIS_PERMISSION_DENIED, TEXT("permission denied")},
    {CAST_DIS_NOT_AVAILABLE, TEXT("not available")},
    {CAST_DIS_TOO_MANY_ERRORS, TEXT("too many errors")},
};

static const struct {
    uint32_t code;
    struct weft_span reason;
} unsubscribes[] = {
    {CAST_UNSUB_CLIENT, TEXT("client unsubscribed")},
    {CAST_UNSUB_DISCONNECTED, TEXT("client disconnected")},
    {CAST_UNSUB_SERVER, TEXT("server unsubscribe")},
    {CAST_UNSUB_INSUFFICIENT_STATE, TEXT("insufficient state")},
    {CAST_UNSUB_EXPIRED, TEXT("subscription expired")},
    {CAST_UNSUB_STATE_INVALIDATED, TEXT("state invalidated")},
};

const struct cast_error *cast_error_find(uint32_t code)
{
    for (size_t i = 0; i < COUNT(errors); i++)
        if (errors[i].code == code)
            return &errors[i];
    return &errors[0];
}

const struct cast_error *cast_api_error_find(uint32_t code)
{
    for (size_t i = 0; i < COUNT(api_errors); i++)
        if (api_errors[i].code == code)
            return &api_errors[i];
    return &api_errors[0];
}

int cast_api_error_status(uint32_t code)
{
    switch (code) {
    case CAST_ERR_UNKNOWN_CHANNEL:
    case CAST_ERR_METHOD_NOT_FOUND:
        return 404;
    case CAST_ERR_BAD_REQUEST:
    case CAST_ERR_NOT_AVAILABLE:
        return 400;
    case CAST_ERR_UNRECOVERABLE_POSITION:
        return 416;
    case CAST_ERR_CONCURRENT_PAGINATION:
        return 409;
    default:
        return 500;
    }
}

const struct cast_disconnect *cast_disconnect_find(uint32_t code)
{
    for (size_t i = 0; i < COUNT(disconnects); i++)
        if (disconnects[i].code == code)
            return &disconnects[i];
    return NULL;
}

bool cast_disconnect_reconnects(uint32_t code)
{
    return (code >= 3000 && code < 3500) || (code >= 4000 && code < 4500) || code >= 5000;
}

struct weft_span cast_unsubscribe_reason(uint32_t code)
{
    for (size_t i = 0; i < COUNT(unsubscribes); i++)
        if (unsubscribes[i].code == code)
            return unsubscribes[i].reason;
    return (struct weft_span){"", 0};
}
