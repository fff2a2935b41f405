// SPDX-License-Identifier: Apache-2.0
/*
 * list.h - intrusive doubly linked ring, the runtime's only list.
 *
 *     head <-> a <-> b <-> head        an empty list is a head that points to itself
 *
 * A node that is on no list has next == NULL, so "am I queued" is one load. No function locks: the
 * caller's lock guards the whole ring. O(1) each.
 */
#ifndef WEFT_BASE_LIST_H
#define WEFT_BASE_LIST_H
#include <stdbool.h>
#include <stddef.h>

struct weft__node {
    struct weft__node *next, *prev;
};

#define weft__entry(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void weft__list_init(struct weft__node *head)
{
    head->next = head->prev = head;
}
static inline bool weft__list_empty(const struct weft__node *head)
{
    return head->next == head;
}
static inline bool weft__node_linked(const struct weft__node *n)
{
    return n->next != NULL;
}

static inline void weft__list_push_back(struct weft__node *head, struct weft__node *n)
{
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}

static inline void weft__list_push_front(struct weft__node *head, struct weft__node *n)
{
    n->next = head->next;
    n->prev = head;
    head->next->prev = n;
    head->next = n;
}

static inline void weft__list_remove(struct weft__node *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->next = n->prev = NULL;
}

/** The first node, or NULL. */
static inline struct weft__node *weft__list_first(const struct weft__node *head)
{
    return head->next == head ? NULL : head->next;
}

static inline struct weft__node *weft__list_pop(struct weft__node *head)
{
    struct weft__node *n = weft__list_first(head);
    if (n)
        weft__list_remove(n);
    return n;
}
#endif
