// SPDX-License-Identifier: Apache-2.0
/* record.c - names, labels and the pool of side records (record.h), and weft_set_name, weft_label,
 * weft_name. */
#include "ctx/record.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/tsan.h"
#include "ctx/context.h"

static struct weft__lock pool_lock; /* rank SYNC; guards pool */
static struct weft__fiber_ext *pool;

static struct weft__fiber_ext *ext_new(void)
{
    weft__enter();
    weft__lock(&pool_lock, WEFT__RANK_SYNC);
    struct weft__fiber_ext *e = pool;
    if (e)
        pool = e->next;
    weft__unlock(&pool_lock);
    weft__leave();
    if (!e && !(e = weft__alloc(sizeof *e)))
        return NULL;
    weft__tsan_acquire(e); /* the fiber that had it before */
    memset(e, 0, sizeof *e);
    return e;
}

static void ext_give_inside(struct weft__fiber_ext *e)
{
    e->name[0] = e->labels[0] = '\0';
    weft__tsan_release(e);
    weft__lock(&pool_lock, WEFT__RANK_SYNC);
    e->next = pool;
    pool = e;
    weft__unlock(&pool_lock);
}

void weft__record_free(struct weft__fiber_ext *e)
{
    if (!e)
        return;
    weft__enter();
    ext_give_inside(e);
    weft__leave();
}

struct weft__fiber_ext *weft__record_of(struct weft__fiber *f)
{
    if (!f->ext)
        f->ext = ext_new();
    return f->ext;
}

void weft__record_end_slow(struct weft__fiber *f)
{
    struct weft__fiber_ext *e = f->ext;
    if (f->defers)
        weft__misuse(
            "the entry of fiber %llu returned out of an open scope, context block, try or defer",
            (unsigned long long)f->id);
    if (e->error) {
        weft__leave();
        weft_error_free(e->error);
        weft__enter();
        e->error = NULL;
    }
    f->ext = NULL;
    ext_give_inside(e);
}

/* ---- born and ended without a scope, under the root context ---- */

void weft__record_born_root(struct weft__fiber *f, void *arg)
{
    (void)arg;
    weft__ctx_adopt(at_load(&weft__ctx_root), f);
}

void weft__record_exit_root(struct weft__fiber *f, int result)
{
    (void)result;
    weft__record_end(f);
    weft__tsan_release(&weft__ctx_root); /* to the return of weft_run */
    if (__builtin_expect(weft__node_linked(&f->ctx_link), 0))
        weft__ctx_unlink(f);
}

/* ---- labels: key=value\0key=value\0\0 ---- */

static char *label_find(char *labels, const char *key)
{
    size_t length = strlen(key);
    for (char *p = labels; *p; p += strlen(p) + 1)
        if (strncmp(p, key, length) == 0 && p[length] == '=')
            return p;
    return NULL;
}

static size_t labels_length(const char *labels)
{
    const char *p = labels;
    while (*p)
        p += strlen(p) + 1;
    return (size_t)(p - labels);
}

static int label_set(char *labels, const char *key, const char *value)
{
    if (!key || !*key || strchr(key, '='))
        return -EINVAL;
    size_t length = labels_length(labels);
    char *old = label_find(labels, key);
    size_t old_bytes = old ? strlen(old) + 1 : 0;
    size_t new_bytes = value ? strlen(key) + 1 + strlen(value) + 1 : 0;
    if (length - old_bytes + new_bytes >= WEFT__LABEL_BYTES)
        return -ENOSPC;
    if (old) {
        memmove(old, old + old_bytes, (size_t)(labels + length + 1 - (old + old_bytes)));
        length -= old_bytes;
    }
    if (value) {
        char *p = labels + length;
        p[new_bytes] = '\0'; /* the end first: a reader stays inside */
        memcpy(p + strlen(key) + 1, value, strlen(value) + 1);
        p[strlen(key)] = '=';
        memcpy(p, key, strlen(key));
    }
    return 0;
}

static void name_set(char *to, const char *name)
{
    size_t n = name ? strnlen(name, WEFT__NAME_BYTES - 1) : 0;
    if (n)
        memcpy(to, name, n);
    to[n] = '\0';
}

int weft__record_for_child(
    const struct weft__fiber *from, const weft_fiber_opts *opts, struct weft__fiber_ext **ret_ext)
{
    const struct weft__fiber_ext *mine = from->ext;
    bool inherits = mine && mine->labels[0];
    if (!inherits && !(opts && (opts->name || opts->label_count)))
        return 0;
    struct weft__fiber_ext *e = ext_new();
    if (!e)
        return -ENOMEM;
    if (inherits)
        memcpy(e->labels, mine->labels, sizeof e->labels);
    if (opts)
        name_set(e->name, opts->name);
    for (size_t i = 0; opts && i < opts->label_count; i++) {
        int rc = label_set(e->labels, opts->labels[i].key, opts->labels[i].value);
        if (rc < 0) {
            weft__record_free(e);
            return rc;
        }
    }
    *ret_ext = e;
    return 0;
}

int weft_set_name(const char *name)
{
    struct weft__fiber *f = weft__me();
    struct weft__fiber_ext *e = f->ext;
    if (!e && (!name || !*name))
        return 0;
    e = weft__record_of(f);
    if (!e)
        return -ENOMEM;
    name_set(e->name, name);
    return 0;
}

int weft_label(const char *key, const char *value)
{
    struct weft__fiber_ext *e = weft__record_of(weft__me());
    return e ? label_set(e->labels, key, value) : -ENOMEM;
}

/* ---- for dumps ---- */

static size_t copy_out(const char *text, size_t limit, char *buf, size_t bytes)
{
    weft__tsan_quiet(); /* R1: old or new text, as it comes */
    size_t n = strnlen(text, limit);
    if (bytes) {
        size_t m = n < bytes ? n : bytes - 1;
        memcpy(buf, text, m);
        buf[m] = '\0';
    }
    weft__tsan_loud();
    return n;
}

size_t weft__fiber_name(const struct weft__fiber *f, char *buf, size_t bytes)
{
    const struct weft__fiber_ext *e = f->ext;
    weft__tsan_quiet(); /* another fiber's, racy as every dump is */
    size_t n = copy_out(e ? e->name : "", WEFT__NAME_BYTES - 1, buf, bytes);
    weft__tsan_loud();
    return n;
}

size_t weft__fiber_labels(const struct weft__fiber *f, char *buf, size_t bytes)
{
    const struct weft__fiber_ext *e = f->ext;
    size_t n = 0;
    weft__tsan_quiet();
    for (size_t i = 0; e && i < WEFT__LABEL_BYTES - 1 && e->labels[i];) {
        if (n)
            n += copy_out(", ", 2, buf + (n < bytes ? n : 0), n < bytes ? bytes - n : 0);
        size_t length = copy_out(e->labels + i, WEFT__LABEL_BYTES - 1 - i,
            buf + (n < bytes ? n : 0), n < bytes ? bytes - n : 0);
        i += length + 1;
        n += length;
    }
    if (n == 0 && bytes)
        buf[0] = '\0';
    weft__tsan_loud();
    return n;
}

size_t weft_name(char *buf, size_t bytes)
{
    return weft__fiber_name(weft__me(), buf, bytes);
}
