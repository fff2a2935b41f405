// SPDX-License-Identifier: Apache-2.0
/*
 * table.h - a set of named objects, looked up by their name: channels, users, clients.
 *
 * What: a thin face over ck_hs (Concurrency Kit's hash set, 8 bytes an entry and load factor), for
 * objects whose first member is a struct tkey. The table borrows the objects and their names: it
 * never copies or frees them.
 *
 *     struct topic { struct tkey key; … }      table ──▶ topic ──▶ name bytes (often in the topic)
 *
 * Names come from clients, so the hash is SipHash-1-3 under a key drawn at start: nobody outside
 * can aim at one bucket. The hash is computed once a look-up and kept in the object, so growing a
 * table touches no name.
 *
 * Invariants
 *   T1  A name does not change, and stays in memory, while its object is in a table.
 *   T2  count is the number of objects in the set.
 *
 * Concurrency: none; a table belongs to one thread at a time. Deleting the object that an iteration
 * just returned is allowed, any other change during an iteration is not.
 * Memory: an empty table holds nothing; one entry costs 128 bytes, then it doubles.
 */
#ifndef CAST_TABLE_H
#define CAST_TABLE_H
#include <ck_hs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** First member of whatever goes into a table. Any bytes; not NUL-terminated. */
struct tkey {
    const char *name;
    uint32_t bytes;
    uint32_t hash; /* table_hash(name, bytes) */
};

struct table {
    ck_hs_t set;
    size_t count;
    bool made;
};

/** Keyed hash of bytes; the key is drawn on the first call in the process. */
uint32_t table_hash(const void *name, size_t bytes);
/** A key for these bytes (borrowed). */
struct tkey table_key(const void *name, size_t bytes);
void table_init(struct table *t);
/** Frees the table, not its objects. */
void table_fini(struct table *t);
/** The object with this key, or NULL. */
void *table_get(const struct table *t, const struct tkey *key);
/** Puts an object in, whose key must not be there yet. Returns 0 or -ENOMEM. */
int table_put(struct table *t, void *object);
/** Takes the object with this key out; returns it, or NULL if there was none. */
void *table_remove(struct table *t, const struct tkey *key);

/** Iteration: struct table_iter it = TABLE_ITER; while ((p = table_next(t, &it))) … */
struct table_iter {
    ck_hs_iterator_t it;
};
#define TABLE_ITER                                                                                 \
    {                                                                                              \
        CK_HS_ITERATOR_INITIALIZER                                                                 \
    }
void *table_next(const struct table *t, struct table_iter *it);
#endif
