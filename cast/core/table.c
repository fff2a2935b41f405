// SPDX-License-Identifier: Apache-2.0
/* table.c - see table.h. The set is single-writer here, in one thread: ck_hs in its simplest mode.
 */
#include "core/table.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t sip_key[2];
static pthread_once_t sip_once = PTHREAD_ONCE_INIT;

static void draw_key(void)
{
    if (getrandom(sip_key, sizeof sip_key, 0) != (ssize_t)sizeof sip_key)
        abort(); /* since Linux 3.17 this cannot fail for 16 bytes */
}

static uint64_t rotl(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[2] += v[3];
    v[1] = rotl(v[1], 13) ^ v[0], v[3] = rotl(v[3], 16) ^ v[2];
    v[0] = rotl(v[0], 32);
    v[2] += v[1], v[0] += v[3];
    v[1] = rotl(v[1], 17) ^ v[2], v[3] = rotl(v[3], 21) ^ v[0];
    v[2] = rotl(v[2], 32);
}

/* SipHash-1-3 (Aumasson and Bernstein), the variant that language runtimes use for tables. */
uint32_t table_hash(const void *name, size_t bytes)
{
    pthread_once(&sip_once, draw_key);
    uint64_t v[4] = {sip_key[0] ^ 0x736f6d6570736575u, sip_key[1] ^ 0x646f72616e646f6du,
        sip_key[0] ^ 0x6c7967656e657261u, sip_key[1] ^ 0x7465646279746573u};
    const unsigned char *p = name;
    size_t left = bytes;
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t m;
        memcpy(&m, p, 8);
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    uint64_t last = (uint64_t)bytes << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)p[i] << (8 * i);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    uint64_t h = v[0] ^ v[1] ^ v[2] ^ v[3];
    return (uint32_t)(h ^ h >> 32);
}

struct tkey table_key(const void *name, size_t bytes)
{
    assert(bytes <= UINT32_MAX);
    return (struct tkey){name, (uint32_t)bytes, table_hash(name, bytes)};
}

static unsigned long key_hash(const void *object, unsigned long seed)
{
    return ((const struct tkey *)object)->hash;
}

static bool key_equal(const void *a, const void *b)
{
    const struct tkey *x = a, *y = b;
    return x->hash == y->hash && x->bytes == y->bytes && memcmp(x->name, y->name, x->bytes) == 0;
}

static void *ck_alloc(size_t bytes)
{
    return malloc(bytes);
}

static void *ck_realloc(void *p, size_t old, size_t bytes, bool defer)
{
    return realloc(p, bytes);
}

static void ck_release(void *p, size_t bytes, bool defer)
{
    free(p);
}

static struct ck_malloc ck_memory = {.malloc = ck_alloc, .realloc = ck_realloc, .free = ck_release};

void table_init(struct table *t)
{
    t->count = 0;
    t->made = false;
}

void table_fini(struct table *t)
{
    if (t->made)
        ck_hs_destroy(&t->set);
    table_init(t);
}

void *table_get(const struct table *t, const struct tkey *key)
{
    if (t->count == 0)
        return NULL;
    return ck_hs_get((ck_hs_t *)(uintptr_t)&t->set, key->hash, key);
}

int table_put(struct table *t, void *object)
{
    if (!t->made) {
        if (!ck_hs_init(&t->set, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT | CK_HS_MODE_DELETE, key_hash,
                key_equal, &ck_memory, 8, 0))
            return -ENOMEM;
        t->made = true;
    }
    if (!ck_hs_put(&t->set, ((struct tkey *)object)->hash, object))
        return -ENOMEM;
    t->count++;
    return 0;
}

void *table_remove(struct table *t, const struct tkey *key)
{
    if (t->count == 0)
        return NULL;
    void *object = ck_hs_remove(&t->set, key->hash, key);
    if (object) {
        t->count--;
        if (t->count == 0) /* gives the memory and the tombstones back */
            table_fini(t);
    }
    return object;
}

void *table_next(const struct table *t, struct table_iter *it)
{
    void *object = NULL;
    if (t->count == 0 || !ck_hs_next((ck_hs_t *)(uintptr_t)&t->set, &it->it, &object))
        return NULL;
    return object;
}
