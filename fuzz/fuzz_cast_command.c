// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_cast_command.c - a message of the client protocol: as many commands as it holds.
 *
 * Checked: every span lies in the message or the scratch; raw payloads are valid JSON by
 * themselves and, put into a push or reply, give a valid line without a line feed; a small scratch
 * and a large one give the same commands; the reader never goes backwards.
 */
#include "fuzz.h"
#include "protocol/command.h"
#include "protocol/reply.h"

static void check_raw(struct weft_span raw, struct cast_scratch *s)
{
    struct weft_span line;
    if (!raw.data)
        return;
    FUZZ_CHECK(cast_json_valid(raw));
    FUZZ_CHECK(cast_payload_line(raw, s, &line) == 0);
    FUZZ_CHECK(line.len <= raw.len && cast_json_valid(line));
    struct cast_publication p = {.data = line, .offset = 1};
    struct cast_out o = {0};
    cast_push_publication(&o, raw, &p); // any bytes will do as a channel
    FUZZ_CHECK(o.err == 0 && cast_json_valid(cast_out_span(&o)));
    FUZZ_CHECK(memchr(o.buf, '\n', o.used) == NULL);
    cast_out_fini(&o);
}

static void check_text(struct weft_span text)
{
    struct cast_out o = {0};
    cast_out_string(&o, text);
    FUZZ_CHECK(o.err == 0 && cast_json_valid(cast_out_span(&o)));
    cast_out_fini(&o);
}

static void check_command(const struct cast_command *c, struct cast_scratch *s)
{
    switch (c->method) {
    case CAST_METHOD_CONNECT:
        check_raw(c->connect.data, s);
        check_text(c->connect.token);
        for (size_t i = 0; i < c->connect.sub_count; i++)
            check_text(c->connect.subs[i].channel);
        for (size_t i = 0; i < c->connect.headers.count; i++)
            check_text(c->connect.headers.items[i].value);
        break;
    case CAST_METHOD_SUBSCRIBE:
        check_raw(c->subscribe.data, s);
        check_raw(c->subscribe.tf, s);
        check_text(c->subscribe.channel);
        break;
    case CAST_METHOD_PUBLISH:
        check_raw(c->publish.data, s);
        check_text(c->publish.channel);
        break;
    case CAST_METHOD_RPC:
        check_raw(c->rpc.data, s);
        break;
    default:
        break;
    }
}

/* The results of all commands, folded into one number. */
static uint64_t decode(struct weft_span text, size_t room)
{
    char *buf = malloc(room ? room : 1);
    struct cast_scratch s;
    struct cast_json j;
    struct cast_command c;
    uint64_t sum = 0;
    int rc;
    cast_scratch_init(&s, buf, room);
    cast_json_init(&j, text, &s);
    const char *at = j.at;
    while ((rc = cast_command_next(&j, &c)) > 0) {
        FUZZ_CHECK(j.at > at && j.at <= j.end);
        at = j.at;
        FUZZ_CHECK(c.method <= CAST_METHOD_NONE);
        check_command(&c, &s);
        sum = sum * 31 + c.id * 16 + c.method + 1;
    }
    cast_scratch_fini(&s);
    free(buf);
    return sum * 31 + (uint64_t)-rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(data, size);
    struct weft_span text = {copy, size};
    FUZZ_CHECK(decode(text, 0) == decode(text, 4096));
    free(copy);
    return 0;
}
