// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_cast_api.c - bodies of the HTTP server API. The first byte picks the method (or the legacy
 * format), the rest is the body.
 *
 * Checked: raw payloads are valid JSON; what base64 gives is JSON exactly when it is said to be;
 * method numbers stay in range, in batches too; a body that is taken is taken again whatever the
 * scratch, and none is when a byte of garbage follows it.
 */
#include "fuzz.h"
#include "protocol/api.h"

static void check_payload(struct weft_span data, struct weft_span b64data, struct cast_scratch *s)
{
    struct weft_span out;
    bool json;
    if (data.data)
        FUZZ_CHECK(cast_json_valid(data));
    if (cast_api_payload(data, b64data, s, &out, &json) == 0 && out.data)
        FUZZ_CHECK(cast_json_valid(out) == json);
}

static void check_request(const struct cast_api_request *r, struct cast_scratch *s)
{
    switch (r->method) {
    case CAST_API_PUBLISH:
    case CAST_API_BROADCAST:
        check_payload(r->publish.data, r->publish.b64data, s);
        break;
    case CAST_API_SUBSCRIBE:
        check_payload(r->subscribe.data, r->subscribe.b64data, s);
        check_payload(r->subscribe.info, r->subscribe.b64info, s);
        break;
    case CAST_API_BATCH:
        for (size_t i = 0; i < r->batch.count; i++) {
            FUZZ_CHECK(r->batch.commands[i].method <= CAST_API_NULL);
            FUZZ_CHECK(r->batch.commands[i].method != CAST_API_BATCH);
            check_request(&r->batch.commands[i], s);
        }
        break;
    default:
        break;
    }
}

static void check_legacy(struct weft_span body, struct cast_scratch *s)
{
    struct cast_api_legacy c;
    struct cast_api_request r;
    struct cast_json j;
    cast_json_init(&j, body, s);
    while (cast_api_legacy_next(&j, &c) > 0) {
        FUZZ_CHECK(c.method < CAST_API_BATCH || c.method == CAST_API_NONE);
        if (c.method != CAST_API_NONE && cast_api_decode(c.method, c.params, s, &r) == 0)
            check_request(&r, s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum cast_api_method m = data[0] % (CAST_API_NONE + 1);
    char *copy = fuzz_copy(data + 1, size - 1);
    struct weft_span body = {copy, size - 1};
    struct cast_scratch s;
    struct cast_api_request r;
    cast_scratch_init(&s, NULL, 0);
    if (m == CAST_API_NONE) {
        check_legacy(body, &s);
    } else if (cast_api_decode(m, body, &s, &r) == 0) {
        check_request(&r, &s);
        char *longer = malloc(size);
        memcpy(longer, copy, size - 1);
        longer[size - 1] = ']';
        FUZZ_CHECK(cast_api_decode(m, (struct weft_span){longer, size}, &s, &r) < 0);
        free(longer);
    }
    cast_scratch_fini(&s);
    free(copy);
    return 0;
}
