// SPDX-License-Identifier: Apache-2.0
/*
 * http1_head.c - parses heads (requests, responses, trailers) line by line, in place.
 *
 * Why our own parser. Debian 12 has two to offer. http-parser was archived by its authors in
 * 2022. llhttp 8.1 comes as C sources inside node-llhttp; it is a callback automaton that hands out
 * names and values in the pieces in which they arrived, to be glued by copying, and the table of
 * fields and the rules across fields would be ours all the same: tried as packaged, it accepts
 * folded lines, no Host, two Hosts, "gzip, chunked" and a chunked body in HTTP/1.0. A head that
 * lies in one buffer needs no automaton; what is left is this file.
 *
 * The unit of work is the line. A line is looked at only when its CRLF has come, so a head that
 * arrives in a thousand pieces takes the same decisions as one that arrives whole:
 *
 *     buf        G E T ' ' / ' ' H T T P / 1 . 1 \r \n H o s t : ' ' a \r \n A c c e p t : ' ' * /
 *     pos        start of the first line that is not whole ------------------^
 *     scanned    bytes before it are known to hold no control and no line end ------------------^
 *
 * 1. next_line searches from `scanned` for a control byte, 16 at a time. It must be CR, and be
 *    followed by LF. Controls and line ends are found in one pass, and never searched twice.
 * 2. parse_field walks the name by table, trims the value, and notes the few names that decide
 *    framing. Positions are stored as 32-bit offsets: 16 bytes a field, and the buffer may move.
 * 3. finish, at the empty line, puts the notes together: target form, Host, framing, persistence.
 *
 * Invariants:
 *   H1  pos <= scanned <= bytes given so far; both only grow.
 *   H2  an error is decided by whole lines or by a byte that no continuation could mend, and limits
 *       are applied before contents, so the verdict does not depend on how the input was cut.
 *   H3  FAILED and DONE are final until the next init.
 *
 *     init -> FIRST --first line--> FIELDS --empty line--> DONE
 *               \--------------------/ any error ---> FAILED          (trailers begin in FIELDS)
 *
 * What is refused, and why (RFC 9112 unless said otherwise):
 *   bare LF, bare CR, NUL, other controls      §2.2, RFC 9110 §5.5: peers differ in where lines end
 *   folded lines                               §5.2: peers differ in what the value is
 *   white space before the colon               §5.1: peers differ in what the name is
 *   Transfer-Encoding with Content-Length      §6.1, §6.3: the classic smuggling pair
 *   Transfer-Encoding in HTTP/1.0              §6.1
 *   Transfer-Encoding other than one chunked   §6.1, §7: not understood, so its end is not known
 *   Content-Length not all digits, or two that differ, or a list   §6.3
 *   no Host, two Hosts, or a Host with foreign characters, in HTTP/1.1    §3.2
 *
 * Concurrency: pure; a head belongs to one thread of control at a time. Progress: wait-free.
 * Limits: weft_http1_limits; offsets have 32 bits, so no limit lets a head grow to 4 GiB.
 * Next: http1_body.c for what follows a head.
 */
#include "base/fatal.h"
#include "proto/http1_chars.h"

#include <weft/http1.h>

#include <errno.h>

enum { REQUEST, RESPONSE, TRAILER };
enum { FIRST, FIELDS, DONE, FAILED };

/* Bits of weft_http1_head.seen. */
enum {
    SEEN_HOST = 1,
    SEEN_LENGTH = 2,
    SEEN_CODING = 4,
    SEEN_CLOSE = 8,
    SEEN_KEEP = 16,
    SEEN_UPGRADE = 32,       /* the field */
    SEEN_UPGRADE_TOKEN = 64, /* in Connection */
    SEEN_EXPECT = 128
};

enum { DEFAULT_LINE_BYTES = 8192, DEFAULT_HEAD_BYTES = 65536, DEFAULT_BODY_BYTES = 1 << 20 };
static const size_t head_bytes_most = UINT32_MAX - 1;

static int fail(struct weft_http1_head *h, int error, int status, const char *problem)
{
    WEFT_ASSERT(h->state != DONE);
    h->state = FAILED;
    h->error = (int16_t)error;
    h->status = h->kind == RESPONSE ? 502 : status;
    h->problem = problem;
    return error;
}

static int malformed(struct weft_http1_head *h, const char *problem)
{
    return fail(h, -EBADMSG, 400, problem);
}

/* ---- set-up ---- */

static void init(struct weft_http1_head *h, const struct weft_http1_limits *limits, int kind)
{
    struct weft_http1_limits l = {.size = sizeof l};
    if (limits)
        memcpy(&l, limits, limits->size < sizeof l ? limits->size : sizeof l);
    if (!l.line_bytes)
        l.line_bytes = DEFAULT_LINE_BYTES;
    if (!l.head_bytes)
        l.head_bytes = DEFAULT_HEAD_BYTES;
    if (l.head_bytes > head_bytes_most)
        l.head_bytes = head_bytes_most;
    if (l.line_bytes > l.head_bytes)
        l.line_bytes = l.head_bytes; /* and sums with it cannot overflow */
    if (!l.fields || l.fields > WEFT_HTTP1_FIELDS_MAX)
        l.fields = WEFT_HTTP1_FIELDS_MAX;
    if (!l.body_bytes)
        l.body_bytes = DEFAULT_BODY_BYTES;
    memset(h, 0, offsetof(struct weft_http1_head, fields));
    h->limits = l;
    h->kind = (uint8_t)kind;
    h->state = kind == TRAILER ? FIELDS : FIRST;
}

void weft_http1_request_init(struct weft_http1_head *h, const struct weft_http1_limits *limits)
{
    init(h, limits, REQUEST);
}

void weft_http1_response_init(
    struct weft_http1_head *h, const struct weft_http1_limits *limits, enum weft_http1_method asked)
{
    init(h, limits, RESPONSE);
    h->asked = (uint8_t)asked;
}

void weft_http1_trailer_init(struct weft_http1_head *h, const struct weft_http1_limits *limits)
{
    init(h, limits, TRAILER);
}

/* ---- lines ---- */

static int line_too_long(struct weft_http1_head *h, bool by_head)
{
    if (by_head)
        return fail(h, -EMSGSIZE, 431, "the head is longer than allowed");
    if (h->state == FIRST)
        return fail(h, -EMSGSIZE, 414, "the first line is longer than allowed");
    return fail(h, -EMSGSIZE, 431, "a field line is longer than allowed");
}

/* Takes the line at pos when it is whole: 0, with ret_line between pos and its CR; -EAGAIN; or the
 * head has failed. */
static int next_line(struct weft_http1_head *h, size_t len, struct weft_span *ret_line)
{
    const char *buf = h->base;
    size_t line_end = h->pos + h->limits.line_bytes + 1; /* a CR must stand before it */
    bool by_head = h->limits.head_bytes < line_end;
    size_t cap = by_head ? h->limits.head_bytes : line_end;
    size_t end = len < cap ? len : cap;
    WEFT_ASSERT(h->pos <= h->scanned && h->scanned <= len); /* H1 */

    const char *p = weft__http1_find_control(buf + h->scanned, buf + end);
    size_t at = (size_t)(p - buf);
    h->scanned = (uint32_t)at;
    if (at == end)
        return end == cap ? line_too_long(h, by_head) : -EAGAIN;
    if (*p != '\r')
        return malformed(h, *p == '\n' ? "a line ends in LF without CR" : "a control byte");
    if (at + 2 > h->limits.head_bytes)
        return line_too_long(h, true);
    if (at + 1 == len)
        return -EAGAIN;
    if (p[1] != '\n')
        return malformed(h, "CR without LF");
    *ret_line = (struct weft_span){buf + h->pos, at - h->pos};
    h->pos = h->scanned = (uint32_t)at + 2;
    return 0;
}

/* The bytes of s before the first one outside the class. */
static size_t class_run(struct weft_span s, int class)
{
    size_t i = 0;
    while (i < s.len && weft__is_class(s.data[i], class))
        i++;
    return i;
}

/* "HTTP/1.x" alone in s: 0 and h->minor; 1 for another major version; -1 for anything else. */
static int parse_version(struct weft_http1_head *h, struct weft_span s)
{
    if (s.len != 8 || memcmp(s.data, "HTTP/", 5) != 0 || s.data[6] != '.')
        return -1;
    char major = s.data[5], minor = s.data[7];
    if (major < '0' || major > '9' || minor < '0' || minor > '9')
        return -1;
    h->minor = minor != '0';
    return major == '1' ? 0 : 1;
}

static enum weft_http1_method method_of(struct weft_span s)
{
    static const char *const names[] = {[WEFT_HTTP1_GET] = "GET",
        [WEFT_HTTP1_HEAD] = "HEAD",
        [WEFT_HTTP1_POST] = "POST",
        [WEFT_HTTP1_PUT] = "PUT",
        [WEFT_HTTP1_DELETE] = "DELETE",
        [WEFT_HTTP1_CONNECT] = "CONNECT",
        [WEFT_HTTP1_OPTIONS] = "OPTIONS",
        [WEFT_HTTP1_TRACE] = "TRACE",
        [WEFT_HTTP1_PATCH] = "PATCH"};
    for (unsigned i = WEFT_HTTP1_GET; i <= WEFT_HTTP1_PATCH; i++)
        if (weft_span_is(s, names[i]))
            return (enum weft_http1_method)i;
    return WEFT_HTTP1_OTHER;
}

/* METHOD SP target SP HTTP/1.x */
static int parse_request_line(struct weft_http1_head *h, struct weft_span s)
{
    size_t n = class_run(s, WEFT__TOKEN);
    if (n == 0 || n == s.len || s.data[n] != ' ')
        return malformed(h, "no method");
    h->method = method_of((struct weft_span){s.data, n});
    h->line.name_at = (uint32_t)(s.data - h->base);
    h->line.name_bytes = (uint32_t)n;
    s.data += n + 1, s.len -= n + 1;
    n = class_run(s, WEFT__TARGET);
    if (n == 0 || n == s.len || s.data[n] != ' ')
        return malformed(h, "no request target, or a byte in it that may not be");
    h->line.value_at = (uint32_t)(s.data - h->base);
    h->line.value_bytes = (uint32_t)n;
    s.data += n + 1, s.len -= n + 1;
    int rc = parse_version(h, s);
    if (rc > 0)
        return fail(h, -EOPNOTSUPP, 505, "another version than HTTP/1");
    return rc < 0 ? malformed(h, "no HTTP version at the end of the request line") : 0;
}

/* HTTP/1.x SP 3digits [SP reason] */
static int parse_status_line(struct weft_http1_head *h, struct weft_span s)
{
    int rc = s.len < 12 ? -1 : parse_version(h, (struct weft_span){s.data, 8});
    if (rc != 0)
        return malformed(h, "no HTTP/1 version at the start of the status line");
    int code = 0;
    for (size_t i = 9; i < 12; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return malformed(h, "no status code");
        code = code * 10 + (s.data[i] - '0');
    }
    if (s.data[8] != ' ' || code < 100 || (s.len > 12 && s.data[12] != ' '))
        return malformed(h, "no status code");
    h->code = code;
    size_t skip = s.len > 12 ? 13 : 12;
    h->line.value_at = (uint32_t)(s.data + skip - h->base);
    h->line.value_bytes = (uint32_t)(s.len - skip);
    return 0;
}

/* ---- fields ---- */

static int note_length(struct weft_http1_head *h, struct weft_span v)
{
    uint64_t n = 0;
    if (v.len == 0)
        return malformed(h, "an empty Content-Length");
    for (size_t i = 0; i < v.len; i++) {
        unsigned digit = (unsigned)(uint8_t)v.data[i] - '0';
        if (digit > 9)
            return malformed(h, "Content-Length is not a number");
        if (n > ((uint64_t)INT64_MAX - digit) / 10)
            return malformed(h, "Content-Length is out of range");
        n = n * 10 + digit;
    }
    if ((h->seen & SEEN_LENGTH) && n != h->content_length)
        return malformed(h, "two values of Content-Length");
    h->seen |= SEEN_LENGTH;
    h->content_length = n;
    return 0;
}

static int note_coding(struct weft_http1_head *h, struct weft_span v)
{
    if (h->seen & SEEN_CODING)
        return malformed(h, "two Transfer-Encoding fields");
    h->seen |= SEEN_CODING;
    if (v.len == 0)
        return malformed(h, "an empty Transfer-Encoding");
    if (!weft_span_is_nocase(v, "chunked"))
        return fail(h, -EOPNOTSUPP, 501, "a transfer coding other than chunked");
    return 0;
}

static int note_connection(struct weft_http1_head *h, struct weft_span list)
{
    struct weft_span item;
    while (weft_http1_list_next(&list, &item)) {
        if (weft_span_is_nocase(item, "close"))
            h->seen |= SEEN_CLOSE;
        else if (weft_span_is_nocase(item, "keep-alive"))
            h->seen |= SEEN_KEEP;
        else if (weft_span_is_nocase(item, "upgrade"))
            h->seen |= SEEN_UPGRADE_TOKEN;
    }
    return 0;
}

static int note_expect(struct weft_http1_head *h, struct weft_span v)
{
    if (h->kind != REQUEST || h->minor == 0)
        return 0;
    if (!weft_span_is_nocase(v, "100-continue"))
        return fail(h, -EOPNOTSUPP, 417, "an expectation other than 100-continue");
    h->seen |= SEEN_EXPECT;
    return 0;
}

static int note_host(struct weft_http1_head *h, struct weft_span v)
{
    if (h->kind == RESPONSE)
        return 0;
    if (h->seen & SEEN_HOST)
        return malformed(h, "two Host fields");
    h->seen |= SEEN_HOST;
    if (!weft__all_class(v, WEFT__HOST))
        return malformed(h, "a byte in Host that may not be");
    return 0;
}

static int note_upgrade(struct weft_http1_head *h, struct weft_span v)
{
    h->seen |= SEEN_UPGRADE;
    return 0;
}

typedef int note_fn(struct weft_http1_head *h, struct weft_span value);

/* The fields that decide where a message ends or whom it is for. */
static int note_field(struct weft_http1_head *h, struct weft_span name, struct weft_span value)
{
    static const struct known {
        const char *name;
        note_fn *note;
    } by_length[] = {[4] = {"host", note_host},
        [6] = {"expect", note_expect},
        [7] = {"upgrade", note_upgrade},
        [10] = {"connection", note_connection},
        [14] = {"content-length", note_length},
        [17] = {"transfer-encoding", note_coding}};
    if (name.len >= sizeof by_length / sizeof *by_length)
        return 0;
    const struct known *k = &by_length[name.len];
    if (!k->name || !weft__same_nocase(name.data, k->name, name.len))
        return 0;
    if (h->kind == TRAILER)
        return malformed(h, "a trailer that would change framing or routing");
    return k->note(h, value);
}

static int parse_field(struct weft_http1_head *h, struct weft_span line)
{
    size_t n = class_run(line, WEFT__TOKEN);
    if (n == 0 && (line.data[0] == ' ' || line.data[0] == '\t'))
        return malformed(h, "a folded field line");
    if (n == 0 || n == line.len || line.data[n] != ':')
        return malformed(h, "no colon right after a field name");
    if (h->field_count == h->limits.fields)
        return fail(h, -EMSGSIZE, 431, "more fields than allowed");
    struct weft_span name = {line.data, n};
    struct weft_span value = weft__trim((struct weft_span){line.data + n + 1, line.len - n - 1});
    h->fields[h->field_count++] = (struct weft_http1_field){(uint32_t)(name.data - h->base),
        (uint32_t)name.len, (uint32_t)(value.data - h->base), (uint32_t)value.len};
    return note_field(h, name, value);
}

/* ---- the whole ---- */

/* Splits the target (RFC 9112 §3.2) into path, query and, in absolute form, host. */
static int parse_target(struct weft_http1_head *h)
{
    struct weft_span t = h->target;
    h->path = h->query = (struct weft_span){NULL, 0};
    if (h->method == WEFT_HTTP1_CONNECT) {
        if (t.data[0] == '/' || !weft__all_class(t, WEFT__HOST) || !memchr(t.data, ':', t.len))
            return malformed(h, "CONNECT without host:port");
        h->host = t;
        return 0;
    }
    if (weft_span_is(t, "*")) {
        h->path = t;
        return h->method == WEFT_HTTP1_OPTIONS ? 0 : malformed(h, "the target * without OPTIONS");
    }
    if (t.data[0] != '/') {
        size_t scheme = t.len > 7 && weft__same_nocase(t.data, "http://", 7)    ? 7
                        : t.len > 8 && weft__same_nocase(t.data, "https://", 8) ? 8
                                                                                : 0;
        struct weft_span rest = {t.data + scheme, t.len - scheme};
        size_t n = class_run(rest, WEFT__HOST);
        if (!scheme || !n || (n < rest.len && rest.data[n] != '/' && rest.data[n] != '?'))
            return malformed(h, "a target that is neither a path nor an http URI");
        h->host = (struct weft_span){rest.data, n};
        t = (struct weft_span){rest.data + n, rest.len - n};
    }
    const char *mark = memchr(t.data, '?', t.len);
    h->path = (struct weft_span){t.data, mark ? (size_t)(mark - t.data) : t.len};
    if (mark)
        h->query = (struct weft_span){mark + 1, t.len - h->path.len - 1};
    if (h->path.len == 0)
        h->path = weft_span_of("/");
    return 0;
}

/* Takes the spans from the current buffer; the only place that makes them. */
static int resolve(struct weft_http1_head *h)
{
    const struct weft_http1_field *l = &h->line;
    if (h->kind == RESPONSE)
        h->reason = (struct weft_span){h->base + l->value_at, l->value_bytes};
    if (h->kind != REQUEST)
        return 0;
    h->method_name = (struct weft_span){h->base + l->name_at, l->name_bytes};
    h->target = (struct weft_span){h->base + l->value_at, l->value_bytes};
    h->host = weft_http1_field_get(h, "host");
    return parse_target(h);
}

/* RFC 9112 §6.3, once the smuggling pairs are out of the way. */
static int decide_framing(struct weft_http1_head *h)
{
    bool bodyless = h->kind == RESPONSE &&
                    (h->asked == WEFT_HTTP1_HEAD || h->code < 200 || h->code == 204 ||
                        h->code == 304 || (h->asked == WEFT_HTTP1_CONNECT && h->code < 300));
    if ((h->seen & SEEN_CODING) && (h->seen & SEEN_LENGTH))
        return malformed(h, "Transfer-Encoding beside Content-Length");
    if ((h->seen & SEEN_CODING) && h->minor == 0)
        return malformed(h, "Transfer-Encoding in HTTP/1.0");
    if (bodyless)
        h->framing = WEFT_HTTP1_NO_BODY;
    else if (h->seen & SEEN_CODING)
        h->framing = WEFT_HTTP1_CHUNKED;
    else if (h->seen & SEEN_LENGTH)
        h->framing = WEFT_HTTP1_LENGTH;
    else
        h->framing = h->kind == RESPONSE ? WEFT_HTTP1_UNTIL_CLOSE : WEFT_HTTP1_NO_BODY;
    if (h->framing == WEFT_HTTP1_LENGTH && h->content_length > h->limits.body_bytes)
        return fail(h, -EMSGSIZE, 413, "the body is longer than allowed");
    return 0;
}

/* At the empty line: what the notes mean together. */
static int finish(struct weft_http1_head *h)
{
    int rc = 0;
    if (h->kind == REQUEST && h->minor == 1 && !(h->seen & SEEN_HOST))
        return malformed(h, "HTTP/1.1 without Host");
    if ((rc = resolve(h)) < 0 || (h->kind != TRAILER && (rc = decide_framing(h)) < 0))
        return rc;
    bool empty = h->framing == WEFT_HTTP1_NO_BODY ||
                 (h->framing == WEFT_HTTP1_LENGTH && h->content_length == 0);
    bool tunnel =
        h->kind == RESPONSE &&
        (h->code == 101 || (h->asked == WEFT_HTTP1_CONNECT && h->code >= 200 && h->code < 300));
    h->expect_continue = (h->seen & SEEN_EXPECT) && !empty;
    h->upgrade = h->minor == 1 && (h->seen & SEEN_UPGRADE) && (h->seen & SEEN_UPGRADE_TOKEN);
    h->keep_alive = !(h->seen & SEEN_CLOSE) && (h->minor == 1 || (h->seen & SEEN_KEEP)) &&
                    h->framing != WEFT_HTTP1_UNTIL_CLOSE && !tunnel;
    h->state = DONE;
    return 0;
}

ssize_t weft_http1_head_parse(struct weft_http1_head *h, const char *buf, size_t len)
{
    struct weft_span line;
    int rc = 0;
    if (h->state == FAILED)
        return h->error;
    if (len == 0)
        return -EAGAIN;
    h->base = buf;
    if (h->state == DONE && (rc = resolve(h)) < 0)
        return rc;
    while (h->state != DONE) {
        if ((rc = next_line(h, len, &line)) < 0)
            return rc;
        if (h->state == FIELDS)
            rc = line.len ? parse_field(h, line) : finish(h);
        else if (line.len == 0 && h->kind == REQUEST)
            continue; /* RFC 9112 §2.2: empty lines before a request are passed over */
        else if ((rc = h->kind == REQUEST ? parse_request_line(h, line)
                                          : parse_status_line(h, line)) == 0)
            h->state = FIELDS;
        if (rc < 0)
            return rc;
    }
    return (ssize_t)h->pos;
}

/* ---- lookup ---- */

static struct weft_span name_of(const struct weft_http1_head *h, const struct weft_http1_field *f)
{
    return (struct weft_span){h->base + f->name_at, f->name_bytes};
}

static struct weft_span value_of(const struct weft_http1_head *h, const struct weft_http1_field *f)
{
    return (struct weft_span){h->base + f->value_at, f->value_bytes};
}

struct weft_span weft_http1_field_get(const struct weft_http1_head *h, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < h->field_count; i++) {
        const struct weft_http1_field *f = &h->fields[i];
        if (f->name_bytes == len && weft__same_nocase(name_of(h, f).data, name, len))
            return value_of(h, f);
    }
    return (struct weft_span){NULL, 0};
}

bool weft_http1_field_at(const struct weft_http1_head *h, size_t index, struct weft_span *ret_name,
    struct weft_span *ret_value)
{
    if (index >= h->field_count)
        return false;
    if (ret_name)
        *ret_name = name_of(h, &h->fields[index]);
    if (ret_value)
        *ret_value = value_of(h, &h->fields[index]);
    return true;
}

bool weft_http1_field_has_token(
    const struct weft_http1_head *h, const char *name, const char *token)
{
    struct weft_span field, rest, item;
    for (size_t i = 0; weft_http1_field_at(h, i, &field, &rest); i++)
        if (weft_span_is_nocase(field, name))
            while (weft_http1_list_next(&rest, &item))
                if (weft_span_is_nocase(item, token))
                    return true;
    return false;
}
