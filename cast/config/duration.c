// SPDX-License-Identifier: Apache-2.0
/*
 * duration.c - Go's duration syntax, read and printed.
 *
 * Grammar: [+-] ( "0" | ( digits [ "." digits ] | "." digits ) unit )+ with unit one of ns us µs μs
 * ms s m h. The sum must fit in 63 bits of nanoseconds (292 years); fractions are exact to the
 * nanosecond, what is below is dropped.
 */
#include "config/value.h"

#include <string.h>

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    /* the longer of two names with a common start stands first */
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000},
    {"\xce\xbcs", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", 60000000000},
    {"h", 3600000000000},
};

static const struct unit *unit_at(const char *p)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strncmp(p, units[i].name, strlen(units[i].name)) == 0)
            return &units[i];
    return NULL;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One "1.5h" at *p: adds it to *sum_ns and steps over it. */
static bool parse_part(const char **p, int64_t *sum_ns)
{
    int64_t whole = 0, fraction = 0, scale = 1, part;
    const char *c = *p;
    if (!digit(*c) && !(*c == '.' && digit(c[1])))
        return false;
    for (; digit(*c); c++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, *c - '0', &whole))
            return false;
    if (*c == '.')
        for (c++; digit(*c); c++)
            if (scale < 1000000000000000) {
                fraction = fraction * 10 + (*c - '0');
                scale *= 10;
            }
    const struct unit *u = unit_at(c);
    if (!u || __builtin_mul_overflow(whole, u->ns, &part))
        return false;
    part += (int64_t)((long double)fraction * (long double)u->ns / (long double)scale);
    if (__builtin_add_overflow(*sum_ns, part, sum_ns))
        return false;
    *p = c + strlen(u->name);
    return true;
}

bool cast_duration_parse(const char *text, int64_t *ret_ns)
{
    int64_t sum = 0;
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    if (strcmp(text, "0") != 0) {
        do {
            if (!parse_part(&text, &sum))
                return false;
        } while (*text);
    }
    *ret_ns = negative ? -sum : sum;
    return true;
}

/* Prints value/10^digits without trailing zeros. */
static int print_fraction(char *buf, size_t bytes, uint64_t value, int digits, const char *unit)
{
    uint64_t power = 1;
    for (int i = 0; i < digits; i++)
        power *= 10;
    uint64_t fraction = value % power;
    if (fraction == 0)
        return snprintf(buf, bytes, "%llu%s", (unsigned long long)(value / power), unit);
    for (; fraction % 10 == 0; digits--)
        fraction /= 10;
    return snprintf(buf, bytes, "%llu.%0*llu%s", (unsigned long long)(value / power), digits,
        (unsigned long long)fraction, unit);
}

void cast_duration_format(int64_t ns, char *buf, size_t buf_bytes)
{
    uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    const char *sign = ns < 0 ? "-" : "";
    char seconds[CAST_DURATION_BYTES];
    if (u == 0) {
        snprintf(buf, buf_bytes, "0s");
        return;
    }
    if (u < 1000)
        print_fraction(seconds, sizeof seconds, u, 0, "ns");
    else if (u < 1000000)
        print_fraction(seconds, sizeof seconds, u, 3, "\xc2\xb5s");
    else if (u < 1000000000)
        print_fraction(seconds, sizeof seconds, u, 6, "ms");
    else
        print_fraction(seconds, sizeof seconds, u % 60000000000, 9, "s");
    uint64_t minutes = u / 60000000000;
    if (minutes >= 60)
        snprintf(buf, buf_bytes, "%s%lluh%llum%s", sign, (unsigned long long)(minutes / 60),
            (unsigned long long)(minutes % 60), seconds);
    else if (minutes > 0)
        snprintf(buf, buf_bytes, "%s%llum%s", sign, (unsigned long long)minutes, seconds);
    else
        snprintf(buf, buf_bytes, "%s%s", sign, seconds);
}
