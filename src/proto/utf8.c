// SPDX-License-Identifier: Apache-2.0
/*
 * utf8.c - UTF-8 validation: a vector skip over ASCII and a one-load-one-shift automaton.
 *
 * What is sent over WebSocket is mostly JSON, so mostly ASCII: blocks of 64 bytes whose top bits
 * are all clear are passed over with four vector ORs. The rest runs through an automaton of nine
 * states whose whole transition column for a byte is packed into one 64-bit word: six bits a state,
 * and a state *is* its bit offset, so that
 *
 *     next = column[byte] >> state & 63
 *
 * The load does not depend on the state, and the chain from byte to byte is one shift and one mask:
 * about a nanosecond for two bytes, whatever the text, without a branch to mispredict. A lookup in
 * vector registers is faster on long non-ASCII text, but is code per instruction set; this is not.
 *
 *     state   bytes that may follow                         then
 *     OK      00-7F                                         OK      (between characters)
 *             C2-DF                                         T1
 *             E0 | E1-EC EE EF | ED                         E0 | T2 | ED
 *             F0 | F1-F3 | F4                               F0 | T3 | F4
 *     T1      80-BF                                         OK
 *     T2      80-BF                                         T1
 *     T3      80-BF                                         T2
 *     E0      A0-BF      (below: overlong)                  T1
 *     ED      80-9F      (above: surrogates)                T1
 *     F0      90-BF      (below: overlong)                  T2
 *     F4      80-8F      (above: beyond U+10FFFF)           T2
 *     BAD     -                                             BAD
 *
 * U1: OK is 0, so a zeroed struct weft_utf8 is the start of a text.
 * U2: BAD leads to BAD for every byte, so checking once a stretch suffices.
 *
 * Pure functions; a state belongs to one thread of control at a time. Wait-free.
 */
#include <weft/utf8.h>

#include <string.h>

enum {
    OK = 0,
    BAD = 6,
    T1 = 12,
    T2 = 18,
    T3 = 24,
    E0 = 30,
    ED = 36,
    F0 = 42,
    F4 = 48,
    STATE_MASK = 63,
    STRETCH = 32 /* bytes through the automaton before ASCII is looked for again */
};

#define TO(from, to) ((uint64_t)(to) << (from))
/* A byte that may only begin a character, or nothing at all (to = BAD). */
#define LEAD(to)                                                                                   \
    (TO(OK, to) | TO(BAD, BAD) | TO(T1, BAD) | TO(T2, BAD) | TO(T3, BAD) | TO(E0, BAD) |           \
        TO(ED, BAD) | TO(F0, BAD) | TO(F4, BAD))
/* A byte that may only continue one; the last four depend on its upper half. */
#define TAIL(e0, ed, f0, f4)                                                                       \
    (TO(OK, BAD) | TO(BAD, BAD) | TO(T1, OK) | TO(T2, T1) | TO(T3, T2) | TO(E0, e0) | TO(ED, ed) | \
        TO(F0, f0) | TO(F4, f4))

static const uint64_t column[256] = {
    [0x00 ... 0x7f] = LEAD(OK),
    [0x80 ... 0x8f] = TAIL(BAD, T1, BAD, T2),
    [0x90 ... 0x9f] = TAIL(BAD, T1, T2, BAD),
    [0xa0 ... 0xbf] = TAIL(T1, BAD, T2, BAD),
    [0xc0 ... 0xc1] = LEAD(BAD),
    [0xc2 ... 0xdf] = LEAD(T1),
    [0xe0] = LEAD(E0),
    [0xe1 ... 0xec] = LEAD(T2),
    [0xed] = LEAD(ED),
    [0xee ... 0xef] = LEAD(T2),
    [0xf0] = LEAD(F0),
    [0xf1 ... 0xf3] = LEAD(T3),
    [0xf4] = LEAD(F4),
    [0xf5 ... 0xff] = LEAD(BAD),
};

typedef uint64_t v2 __attribute__((vector_size(16)));

static v2 load(const uint8_t *p)
{
    v2 v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* The first position at or after p from which on 64 (then 8) bytes are not all ASCII. */
static const uint8_t *skip_ascii(const uint8_t *p, const uint8_t *end)
{
    const uint64_t top = UINT64_C(0x8080808080808080);
    while (end - p >= 64) {
        v2 v = load(p) | load(p + 16) | load(p + 32) | load(p + 48);
        if ((v[0] | v[1]) & top)
            break;
        p += 64;
    }
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, sizeof w);
        if (w & top)
            break;
        p += 8;
    }
    return p;
}

bool weft_utf8_feed(struct weft_utf8 *u, const void *data, size_t len)
{
    uint64_t state = u->state;
    if (len == 0)
        return state != BAD;
    const uint8_t *p = data, *end = p + len;
    while (p < end && state != BAD) {
        if (state == OK)
            p = skip_ascii(p, end);
        const uint8_t *stop = end - p > STRETCH ? p + STRETCH : end;
        while (p < stop)
            state = column[*p++] >> state & STATE_MASK;
    }
    u->state = (uint8_t)state;
    return state != BAD;
}

bool weft_utf8_done(const struct weft_utf8 *u)
{
    return u->state == OK;
}

bool weft_utf8_valid(const void *data, size_t len)
{
    struct weft_utf8 u = {0};
    return weft_utf8_feed(&u, data, len) && weft_utf8_done(&u);
}
