// SPDX-License-Identifier: Apache-2.0
/*
 * ws_handshake.c - from HTTP to WebSocket, both sides (RFC 6455 §4).
 *
 *     client                                         server
 *     weft_ws_request_begin  -- GET, Upgrade, Key -->  weft_ws_upgrade_check
 *                                                      weft_ws_protocol_choose
 *     weft_ws_response_check <-- 101, Accept --------  weft_ws_upgrade_accept
 *                            <-- 400, 405, 426 ------  weft_ws_upgrade_refuse
 *
 * The accept value is base64(SHA-1(key + GUID)). SHA-1 comes from OpenSSL by its old three calls:
 * they work on a struct on the stack (0.09 us), where SHA1() and EVP look an algorithm up under a
 * lock and allocate (0.12 to 0.65 us measured with 3.0). They are marked deprecated, so this file
 * says that it means them; the example of RFC 6455 in the tests would tell if they went.
 *
 * The check is one walk over the fields, since weftcast does it fifty thousand times a second.
 * A request with a body is refused: its bytes would be read as frames.
 *
 * Pure functions; callable from anywhere. Wait-free.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/fatal.h"
#include "proto/http1_chars.h"

#include <weft/wsproto.h>

#include <errno.h>
#include <openssl/sha.h>

enum { NONCE_BYTES = 16 };

/* ---- keys ---- */

/* len bytes as base64, padded: 4 characters for 3 bytes. */
static void base64(const uint8_t *in, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3, out += 4) {
        uint32_t second = i + 1 < len ? in[i + 1] : 0, third = i + 2 < len ? in[i + 2] : 0;
        uint32_t bits = (uint32_t)in[i] << 16 | second << 8 | third;
        out[0] = digits[bits >> 18];
        out[1] = digits[bits >> 12 & 63];
        out[2] = i + 1 < len ? digits[bits >> 6 & 63] : '=';
        out[3] = i + 2 < len ? digits[bits & 63] : '=';
    }
}

/* 16 bytes as base64 are 22 digits and two signs of padding. */
static bool is_key(struct weft_span key)
{
    if (key.len != WEFT_WS_KEY_BYTES || memcmp(key.data + 22, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.data[i], l = weft__lower(c);
        if (!(l >= 'a' && l <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '/')
            return false;
    }
    return true;
}

int weft_ws_accept_key(struct weft_span key, char *out)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[SHA_DIGEST_LENGTH];
    SHA_CTX sha;
    if (!is_key(key))
        return -EINVAL;
    SHA1_Init(&sha);
    SHA1_Update(&sha, key.data, key.len);
    SHA1_Update(&sha, guid, sizeof guid - 1);
    SHA1_Final(digest, &sha);
    _Static_assert((sizeof digest + 2) / 3 * 4 == WEFT_WS_ACCEPT_BYTES, "base64 of a SHA-1");
    base64(digest, sizeof digest, out);
    return 0;
}

void weft_ws_key_encode(const uint8_t *nonce, char *out)
{
    _Static_assert((NONCE_BYTES + 2) / 3 * 4 == WEFT_WS_KEY_BYTES, "base64 of a nonce");
    base64(nonce, NONCE_BYTES, out);
}

/* ---- server ---- */

static int refuse(struct weft_ws_upgrade *up, int status, const char *problem)
{
    up->status = status;
    up->problem = problem;
    return -EPROTO;
}

static bool list_has(struct weft_span list, const char *token)
{
    struct weft_span item;
    while (weft_http1_list_next(&list, &item))
        if (weft_span_is_nocase(item, token))
            return true;
    return false;
}

/* The fields of the handshake, from one walk; a second of a kind that may be once counts. */
struct fields {
    struct weft_span key, version, protocols, origin, accept, extensions;
    unsigned keys, versions, accepts, protocol_fields;
    bool websocket;
};

static void note_field(struct fields *f, struct weft_span name, struct weft_span value)
{
    switch (name.len) {
    case 6:
        if (weft_span_is_nocase(name, "origin"))
            f->origin = value;
        break;
    case 7:
        if (weft_span_is_nocase(name, "upgrade"))
            f->websocket |= list_has(value, "websocket");
        break;
    case 17:
        if (weft_span_is_nocase(name, "sec-websocket-key"))
            f->key = value, f->keys++;
        break;
    case 20:
        if (weft_span_is_nocase(name, "sec-websocket-accept"))
            f->accept = value, f->accepts++;
        break;
    case 21:
        if (weft_span_is_nocase(name, "sec-websocket-version"))
            f->version = value, f->versions++;
        break;
    case 22:
        if (weft_span_is_nocase(name, "sec-websocket-protocol") && f->protocol_fields++ == 0)
            f->protocols = value;
        break;
    case 24:
        if (weft_span_is_nocase(name, "sec-websocket-extensions"))
            f->extensions = value;
        break;
    default:
        break;
    }
}

static struct fields collect(const struct weft_http1_head *h)
{
    struct fields f = {0};
    struct weft_span name, value;
    for (size_t i = 0; weft_http1_field_at(h, i, &name, &value); i++)
        note_field(&f, name, value);
    return f;
}

int weft_ws_upgrade_check(const struct weft_http1_head *req, struct weft_ws_upgrade *ret_up)
{
    struct fields f = collect(req);
    *ret_up = (struct weft_ws_upgrade){.key = f.key, .protocols = f.protocols, .origin = f.origin};
    if (req->method != WEFT_HTTP1_GET)
        return refuse(ret_up, 405, "a WebSocket opens with GET");
    if (!req->upgrade || !f.websocket)
        return refuse(ret_up, 426, "not an upgrade to websocket");
    if (req->framing != WEFT_HTTP1_NO_BODY &&
        (req->framing != WEFT_HTTP1_LENGTH || req->content_length != 0))
        return refuse(ret_up, 400, "an upgrade request with a body");
    if (f.versions != 1 || !weft_span_is(f.version, "13"))
        return refuse(ret_up, 426, "another Sec-WebSocket-Version than 13");
    if (f.keys != 1 || !is_key(f.key))
        return refuse(ret_up, 400, "no valid Sec-WebSocket-Key");
    return 0;
}

struct weft_span weft_ws_protocol_choose(
    const struct weft_http1_head *req, const char *const *supported)
{
    struct weft_span name, list, item;
    for (size_t i = 0; supported && weft_http1_field_at(req, i, &name, &list); i++) {
        if (!weft_span_is_nocase(name, "sec-websocket-protocol"))
            continue;
        while (weft_http1_list_next(&list, &item))
            for (const char *const *s = supported; *s; s++)
                if (weft_span_is(item, *s))
                    return item;
    }
    return (struct weft_span){NULL, 0};
}

ssize_t weft_ws_upgrade_accept(
    const struct weft_ws_upgrade *up, struct weft_span protocol, char *out, size_t cap)
{
    struct weft_http1_writer w;
    char accept[WEFT_WS_ACCEPT_BYTES];
    int rc = weft_ws_accept_key(up->key, accept);
    if (rc < 0 || !weft__all_class(protocol, WEFT__TOKEN))
        return -EINVAL;
    weft_http1_write_response(&w, out, cap, 101);
    weft_http1_write_text(&w, "Upgrade", "websocket");
    weft_http1_write_text(&w, "Connection", "Upgrade");
    weft_http1_write_field(&w, "Sec-WebSocket-Accept", (struct weft_span){accept, sizeof accept});
    if (protocol.len)
        weft_http1_write_field(&w, "Sec-WebSocket-Protocol", protocol);
    return weft_http1_write_end(&w);
}

ssize_t weft_ws_upgrade_refuse(const struct weft_ws_upgrade *up, char *out, size_t cap)
{
    struct weft_http1_writer w;
    size_t text = strlen(up->problem);
    WEFT_ASSERT(up->status >= 400);
    weft_http1_write_response(&w, out, cap, up->status);
    weft_http1_write_text(&w, "Connection", up->status == 426 ? "close, Upgrade" : "close");
    if (up->status == 426)
        weft_http1_write_text(&w, "Upgrade", "websocket");
    if (up->status == 405)
        weft_http1_write_text(&w, "Allow", "GET");
    weft_http1_write_text(&w, "Sec-WebSocket-Version", "13");
    weft_http1_write_text(&w, "Content-Type", "text/plain; charset=utf-8");
    weft_http1_write_number(&w, "Content-Length", text + 1);
    ssize_t head = weft_http1_write_end(&w);
    if (head < 0)
        return head;
    if (cap - (size_t)head < text + 1)
        return -ENOBUFS;
    memcpy(out + head, up->problem, text);
    out[(size_t)head + text] = '\n';
    return head + (ssize_t)text + 1;
}

/* ---- client ---- */

void weft_ws_request_begin(struct weft_http1_writer *w, char *buf, size_t cap,
    struct weft_span target, struct weft_span host, const char *key, struct weft_span protocols)
{
    weft_http1_write_request(w, buf, cap, "GET", target, host);
    weft_http1_write_text(w, "Upgrade", "websocket");
    weft_http1_write_text(w, "Connection", "Upgrade");
    weft_http1_write_field(w, "Sec-WebSocket-Key", (struct weft_span){key, WEFT_WS_KEY_BYTES});
    weft_http1_write_text(w, "Sec-WebSocket-Version", "13");
    if (protocols.len)
        weft_http1_write_field(w, "Sec-WebSocket-Protocol", protocols);
}

static bool was_offered(struct weft_span offer, struct weft_span choice)
{
    struct weft_span item;
    while (weft_http1_list_next(&offer, &item))
        if (item.len == choice.len && memcmp(item.data, choice.data, item.len) == 0)
            return true;
    return false;
}

int weft_ws_response_check(const struct weft_http1_head *resp, const char *key,
    struct weft_span protocols, struct weft_span *ret_protocol)
{
    struct fields f = collect(resp);
    char accept[WEFT_WS_ACCEPT_BYTES];
    if (resp->code != 101)
        return -ECONNREFUSED;
    if (weft_ws_accept_key((struct weft_span){key, WEFT_WS_KEY_BYTES}, accept) < 0)
        return -EPROTO;
    if (!resp->upgrade || !f.websocket || f.accepts != 1 || f.accept.len != sizeof accept ||
        memcmp(f.accept.data, accept, sizeof accept) != 0)
        return -EPROTO;
    if (f.extensions.len || f.protocol_fields > 1)
        return -EPROTO;
    if (f.protocol_fields && !was_offered(protocols, f.protocols))
        return -EPROTO;
    if (ret_protocol)
        *ret_protocol = f.protocols;
    return 0;
}
