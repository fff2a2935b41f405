// SPDX-License-Identifier: Apache-2.0
/* object.c - names of objects for reports, and the quarantine of freed ones (object_core.h). */
#include "sync/object_core.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/rank.h"

#if defined(__SANITIZE_ADDRESS__)
enum { QUARANTINE = 0 };
#elif defined(NDEBUG)
enum { QUARANTINE = 0 };
#else
enum { QUARANTINE = 256 };
#endif

void (*weft__site_hook)(const void *pc, char *text, size_t bytes);

const char *weft__kind_name(uint32_t kind)
{
    static const char *const names[] = {"object", "channel", "select", "mutex", "rwmutex", "once",
        "waitgroup", "cond", "semaphore", "barrier", "flight", "context", "scope", "timer"};
    return kind < sizeof names / sizeof *names ? names[kind] : names[0];
}

/* Where pc is, as well as the dynamic linker knows it. */
static void site_by_linker(const void *pc, char *text, size_t bytes)
{
    Dl_info info;
    if (!dladdr(pc, &info))
        snprintf(text, bytes, "%p", pc);
    else if (info.dli_sname)
        snprintf(text, bytes, "%s+0x%zx", info.dli_sname,
            (size_t)((const char *)pc - (const char *)info.dli_saddr));
    else
        snprintf(text, bytes, "%s+0x%zx", info.dli_fname,
            (size_t)((const char *)pc - (const char *)info.dli_fbase));
}

static const char *describe(const struct weft_object *o, uint32_t kind, char *text, size_t bytes)
{
    char site[256], who[96];
    if (o->site)
        snprintf(site, sizeof site, "%s", o->site);
    else if (o->pc)
        (weft__site_hook ? weft__site_hook : site_by_linker)(o->pc, site, sizeof site);
    else
        snprintf(site, sizeof site, "an unknown place");
    if (o->name)
        snprintf(who, sizeof who, "\"%.80s\"", o->name);
    else
        snprintf(who, sizeof who, "%p", (const void *)o);
    snprintf(text, bytes, "%s %s (made at %s)", weft__kind_name(kind), who, site);
    return text;
}

const char *weft__object_describe(const struct weft_object *o, char *text, size_t bytes)
{
    return describe(o, o->kind, text, bytes);
}

static void object_text(const void *object, char *text, size_t bytes)
{
    weft__object_describe(object, text, bytes);
}

__attribute__((constructor)) static void set_hook(void)
{
    weft__object_text_hook = object_text;
}

void weft__object_misuse(
    const struct weft_object *o, uint32_t kind, const char *mistake, const char *extra)
{
    char text[512];
    if (!o)
        weft__misuse("%s nil %s%s", mistake, weft__kind_name(kind), extra);
    weft__misuse("%s %s%s", mistake, describe(o, kind, text, sizeof text), extra);
}

void weft__object_init(struct weft_object *o, uint32_t kind, const char *name, void *pc)
{
    o->name = name;
    o->site = NULL;
    o->pc = pc;
    o->kind = kind;
    o->magic = WEFT_OBJECT_MAGIC;
}

void weft__object_free(struct weft_object *o)
{
    static _Atomic(void *) quarantine[QUARANTINE + 1];
    static _Atomic uint32_t turn;
    weft__object_fini(o);
    if (QUARANTINE == 0)
        weft__free(o);
    else
        weft__free(at_xchg(&quarantine[at_add(&turn, 1) % (QUARANTINE + 1)], o));
}
