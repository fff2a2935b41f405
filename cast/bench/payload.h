// SPDX-License-Identifier: Apache-2.0
/*
 * payload.h - a measured message: its number and its intended time at fixed places in the data.
 *
 *     {"s":"00000000000000a1","t":"00000183f0c2a900","p":"xxxx...x"}
 *      0    6                22     29                45
 *
 * Sixteen hexadecimal digits each, so that a receiver finds them without reading JSON, at the same
 * offset in every push of a channel. The padding makes the data exactly as long as was asked for.
 */
#ifndef CAST_BENCH_PAYLOAD_H
#define CAST_BENCH_PAYLOAD_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    PAYLOAD_SEQ_AT = 6,
    PAYLOAD_TIME_AT = 29,
    PAYLOAD_PAD_AT = 52,
    PAYLOAD_MIN_BYTES = 54, // with empty padding
};

/* Spread the 8 hexadecimal digits of v over the bytes of a word, first digit first in memory. */
static inline uint64_t payload_digits8(uint32_t v)
{
    uint64_t x = __builtin_bswap32(v);
    x = ((x & 0xf0f0f0f0u) >> 4) | ((uint64_t)(x & 0x0f0f0f0fu) << 32);
    /* bytes: high digits in the low half, low digits in the high half; interleave them */
    uint64_t out = 0;
    for (int i = 0; i < 4; i++)
        out |= (x >> (8 * i) & 0xff) << (16 * i) | (x >> (32 + 8 * i) & 0xff) << (16 * i + 8);
    uint64_t letters = ((out + UINT64_C(0x0606060606060606)) >> 4) & UINT64_C(0x0101010101010101);
    return out + UINT64_C(0x3030303030303030) + letters * 0x27;
}

static inline void payload_hex(char *to, uint64_t v)
{
    uint64_t high = payload_digits8((uint32_t)(v >> 32)), low = payload_digits8((uint32_t)v);
    memcpy(to, &high, 8);
    memcpy(to + 8, &low, 8);
}

/* The value of 8 lower-case hexadecimal digits. */
static inline uint32_t payload_value8(const char *from)
{
    uint64_t x;
    memcpy(&x, from, 8);
    x = (x & UINT64_C(0x0f0f0f0f0f0f0f0f)) + (x >> 6 & UINT64_C(0x0101010101010101)) * 9;
    x = (x << 4 | x >> 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x >> 8) & UINT64_C(0x0000ffff0000ffff);
    return __builtin_bswap32((uint32_t)(x | x >> 16));
}

static inline uint64_t payload_value(const char *from)
{
    return (uint64_t)payload_value8(from) << 32 | payload_value8(from + 8);
}

/** payload_init - a data object of exactly `bytes` (>= PAYLOAD_MIN_BYTES) with zero numbers. */
static inline void payload_init(char *to, size_t bytes)
{
    memcpy(to, "{\"s\":\"0000000000000000\",\"t\":\"0000000000000000\",\"p\":\"", PAYLOAD_PAD_AT);
    memset(to + PAYLOAD_PAD_AT, 'x', bytes - PAYLOAD_MIN_BYTES);
    memcpy(to + bytes - 2, "\"}", 2);
}

/** payload_set - put number and intended time into a data object. */
static inline void payload_set(char *data, uint64_t seq, int64_t time_ns)
{
    payload_hex(data + PAYLOAD_SEQ_AT, seq);
    payload_hex(data + PAYLOAD_TIME_AT, (uint64_t)time_ns);
}
#endif
