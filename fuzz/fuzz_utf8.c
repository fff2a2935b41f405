// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_utf8.c - the automaton against a decoder that computes code points, whole and in pieces of
 * 1 to 80 bytes (the first byte of the input says).
 */
#include "fuzz.h"

#include <weft/utf8.h>

/* Bytes of the well-formed character at p; 0 where there is none. */
static size_t character(const uint8_t *p, size_t len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (n == 0 || n > len || p[0] >= 0xf8)
        return 0;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c >= least[n] && c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff) ? n : 0;
}

static bool reference(const uint8_t *p, size_t len)
{
    for (size_t n; len; p += n, len -= n)
        if ((n = character(p, len)) == 0)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t piece = data[0] % 80 + 1u;
    data++, size--;
    bool want = reference(data, size), ok = true;
    struct weft_utf8 u = {0};
    FUZZ_CHECK(weft_utf8_valid(data, size) == want);
    for (size_t at = 0, n; at < size; at += n) {
        n = size - at < piece ? size - at : piece;
        char *block = fuzz_copy(data + at, n);
        bool before = ok;
        ok = weft_utf8_feed(&u, block, n);
        FUZZ_CHECK(before || !ok); /* failure sticks */
        free(block);
    }
    FUZZ_CHECK((ok && weft_utf8_done(&u)) == want);
    return 0;
}
