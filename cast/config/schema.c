// SPDX-License-Identifier: Apache-2.0
/*
 * schema.c - the rows of schema.def as tables, and the search for keys in them.
 *
 * The macro AT checks at compile time that a row's type fits its member, so that a string setting
 * cannot be stored into an integer. Searches are linear: they run at start, a few hundred strings.
 *
 * Nearest key: Damerau-Levenshtein distance, with '.' and '_' as the same letter, between the
 * unknown path and every key and section. A path that is the end of a valid one ("hmac_secret_key",
 * or Centrifugo 5's flat "admin_password") counts as one edit away.
 */
#include "config/schema.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define TYPE_STRING char *
#define TYPE_INT int64_t
#define TYPE_BOOL bool
#define TYPE_DURATION int64_t
#define TYPE_STRINGS struct cast_strings
#define AT(root, member, type)                                                                     \
    (offsetof(struct root, member) +                                                               \
        0 * sizeof(char[__builtin_types_compatible_p(                                              \
                            __typeof__(((struct root *)0)->member), TYPE_##type)                   \
                            ? 1                                                                    \
                            : -1]))

#define ROW(t, p, d, x, at, s)                                                                     \
    {.path = (p),                                                                                  \
        .def = (d),                                                                                \
        .text = (x),                                                                               \
        .offset = (at),                                                                            \
        .type = CAST_TYPE_##t,                                                                     \
        .status = CAST_KEY_##s},
#define HAVE(t, m, d, x) ROW(t, #m, d, x, AT(ROOT, m, t), HAVE)
#define HAVE_D(m, d, x) ROW(DURATION, #m, d, x, AT(ROOT, m##_ns, DURATION), HAVE)
#define MOOT(t, p, d, x) ROW(t, p, d, x, 0, MOOT)
#define LATER(t, p, d, x) ROW(t, p, d, x, 0, LATER)
#define REFUSE(t, p, d, x) ROW(t, p, d, x, 0, REFUSE)
#define CHANNEL(p, x) ROW(CHANNEL, p, "{}", x, 0, HAVE)
#define NAMESPACES(p, x) ROW(NAMESPACES, p, "[]", x, 0, HAVE)
#define SECTION(n, x)

#define ROOT cast_config
static const struct cast_key root_keys[] = {
#include "config/schema.def"
};
#undef ROOT
#define ROOT cast_channel_options
static const struct cast_key channel_keys[] = {
#include "config/schema_channel.def"
};
#undef ROOT

const struct cast_table cast_root_table = {root_keys, sizeof root_keys / sizeof root_keys[0]};
const struct cast_table cast_option_table = {
    channel_keys, sizeof channel_keys / sizeof channel_keys[0]};

#undef HAVE
#undef HAVE_D
#undef MOOT
#undef LATER
#undef REFUSE
#undef CHANNEL
#undef NAMESPACES
#undef SECTION
#define HAVE(t, m, d, x)
#define HAVE_D(m, d, x)
#define MOOT(t, p, d, x)
#define LATER(t, p, d, x)
#define REFUSE(t, p, d, x)
#define CHANNEL(p, x)
#define NAMESPACES(p, x)
#define SECTION(n, x) {(n), (x)},
const struct cast_section cast_sections[] = {
#include "config/schema.def"
};
const size_t cast_sections_count = sizeof cast_sections / sizeof cast_sections[0];

const struct cast_key *cast_table_find(const struct cast_table *table, const char *path)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcasecmp(table->keys[i].path, path) == 0)
            return &table->keys[i];
    return NULL;
}

bool cast_table_is_section(const struct cast_table *table, const char *path)
{
    size_t bytes = strlen(path);
    for (size_t i = 0; i < table->count; i++)
        if (strncasecmp(table->keys[i].path, path, bytes) == 0 && table->keys[i].path[bytes] == '.')
            return true;
    return false;
}

const struct cast_key *cast_schema_find(const char *path, bool *ret_channel)
{
    size_t bytes = strlen(CAST_WITHOUT_NAMESPACE);
    *ret_channel = strncasecmp(path, CAST_WITHOUT_NAMESPACE ".", bytes + 1) == 0;
    if (*ret_channel)
        return cast_table_find(&cast_option_table, path + bytes + 1);
    return cast_table_find(&cast_root_table, path);
}

static char letter(char c)
{
    return c == '.' ? '_' : (char)tolower((unsigned char)c);
}

/* Optimal string alignment distance of a and the first b_bytes of b, or MOST when it is above
 * limit. */
static size_t distance(const char *a, const char *b, size_t b_bytes, size_t limit)
{
    enum { MOST = 128 };
    size_t a_bytes = strlen(a), rows[3][MOST + 1];
    if (a_bytes > MOST || b_bytes > MOST)
        return MOST;
    for (size_t j = 0; j <= b_bytes; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_bytes; i++) {
        size_t *row = rows[i % 3], *up = rows[(i + 2) % 3], *upper = rows[(i + 1) % 3];
        size_t least = row[0] = i;
        for (size_t j = 1; j <= b_bytes; j++) {
            char x = letter(a[i - 1]), y = letter(b[j - 1]);
            size_t best = up[j - 1] + (x != y);
            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && x == letter(b[j - 2]) && letter(a[i - 2]) == y &&
                upper[j - 2] + 1 < best)
                best = upper[j - 2] + 1;
            row[j] = best;
            least = best < least ? best : least;
        }
        /* a transposition reaches back two rows, and costs one */
        if (least > limit + 1)
            return MOST;
    }
    return rows[a_bytes % 3][b_bytes];
}

/* Whether a is the end of the first b_bytes of b, from a dot on. */
static bool is_tail(const char *a, const char *b, size_t b_bytes)
{
    size_t a_bytes = strlen(a);
    if (a_bytes >= b_bytes || b[b_bytes - a_bytes - 1] != '.')
        return false;
    for (size_t i = 0; i < a_bytes; i++)
        if (letter(a[i]) != letter(b[b_bytes - a_bytes + i]))
            return false;
    return true;
}

void cast_table_nearest(const struct cast_table *table, const char *path, bool sections,
    char *ret_near, size_t near_bytes)
{
    /* half of a short name changed is another name */
    size_t bytes = strlen(path), most = bytes / 2 < 2 + bytes / 3 ? bytes / 2 : 2 + bytes / 3;
    size_t best = 2 * (most + 1);
    ret_near[0] = '\0';
    for (size_t i = 0; i < table->count; i++) {
        const char *candidate = table->keys[i].path;
        /* every section on the way to the key, and the key itself */
        for (size_t end = 0; candidate[end]; end += candidate[end] == '.') {
            end += strcspn(candidate + end, ".");
            bool seen = i > 0 && strncmp(table->keys[i - 1].path, candidate, end) == 0;
            if (candidate[end] && (!sections || seen))
                continue;
            bool tail = is_tail(path, candidate, end);
            if (!tail && (end > bytes + most || bytes > end + most))
                continue;
            size_t d = tail ? 1 : distance(path, candidate, end, best / 2);
            /* of two that are as near, the one that weftcast acts on */
            size_t score = 2 * d + (table->keys[i].status != CAST_KEY_HAVE);
            if (score < best) {
                best = score;
                snprintf(ret_near, near_bytes, "%.*s", (int)end, candidate);
            }
        }
    }
}

void cast_env_name(const char *prefix, const char *path, char *buf, size_t buf_bytes)
{
    snprintf(buf, buf_bytes, "%s%s", prefix, path);
    for (char *c = buf; *c; c++)
        *c = *c == '.' || *c == '-' ? '_' : (char)toupper((unsigned char)*c);
}
