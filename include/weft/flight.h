// SPDX-License-Identifier: Apache-2.0
/*
 * weft/flight.h - single flight: of many who want the same at once, one works and the rest wait.
 *
 * Against the stampede when a cache entry expires: a thousand fibers miss, one loads. A flight
 * keeps nothing: the next caller after the end of the work starts it anew.
 *
 *     rc = weft_flight_do(&flight, name, strlen(name), load, arg, &entry, sizeof entry, NULL);
 *
 * Keys are bytes, results are bytes of a fixed size, copied to each caller. What a copied pointer
 * points at is then shared: count its references in the work function or keep it for ever.
 *
 * Storage as weft_mutex: the caller's, never copied or moved.
 */
#ifndef WEFT_FLIGHT_H
#define WEFT_FLIGHT_H
#include <stdbool.h>
#include <stddef.h>
#include <weft/base.h>
#include <weft/object.h>

WEFT_BEGIN_DECLS

/** struct weft_flight - 600 bytes, the contents are the library's. All zero: ready. */
typedef struct weft_flight {
    struct weft_object object_;
    uint64_t state_[71];
} weft_flight;

/* Static initialisers: without and with a name for reports. */
#define WEFT_FLIGHT_INIT WEFT_FLIGHT_NAMED(0)
#define WEFT_FLIGHT_NAMED(name)                                                                    \
    {                                                                                              \
        WEFT_OBJECT_INIT_(WEFT_KIND_FLIGHT, name),                                                 \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/**
 * weft_flight_init - make a flight in the caller's storage.
 * @fl:   storage.
 * @name: for reports, borrowed for its life; or NULL.
 *
 * Not needed where WEFT_FLIGHT_INIT was used or all bytes are zero.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, before others know it.
 * Since 0.1. See weft_flight_do.
 */
WEFT_API void weft_flight_init(weft_flight *fl, const char *name);

/**
 * weft_flight_do - do a piece of work, or wait for the one who does it already.
 * @fl:           flight.
 * @key:          what it is, key_bytes bytes; borrowed for the call.
 * @key_bytes:    its length.
 * @fn:           the work: fills in result_bytes bytes and returns 0 or more, or a negative error.
 *                Called by the first for this key, on its own stack and in its context.
 * @arg:          passed on to fn.
 * @ret_result:   result_bytes bytes for the result; the same size for all calls with this key.
 * @result_bytes: their number; 0 if only the return value counts.
 * @ret_shared:   whether others got the same result; may be NULL.
 *
 * Returns what fn returned, to all who waited for it. *ret_result is copied if that is not
 * negative.
 *   -EOWNERDEAD fn did not return: it panicked or ended its fiber, which this caller waited for.
 *   -ECANCELED / -ETIMEDOUT this caller's context ended while it waited, or before; the work goes
 *   on.
 * Blocks:    parks the fiber, never the thread, while another does the work. Cancellation point.
 *            From within fn for the same key: misuse (it would wait for itself).
 * Callable:  any fiber; a plain thread too (it then blocks that thread). Not from signal handlers.
 * Order:     fn's return happens-before each return that has its result.
 * Cost:      two locks and a hash of the key; no allocation.
 * Since 0.1. Source: golang.org/x/sync/singleflight. See weft_flight_forget.
 */
WEFT_API int weft_flight_do(weft_flight *fl, const void *key, size_t key_bytes,
    int (*fn)(void *arg, void *ret_result), void *arg, void *ret_result, size_t result_bytes,
    bool *ret_shared);

/**
 * weft_flight_forget - let the next caller start the work anew, though it is under way.
 * @fl:        flight.
 * @key:       key_bytes bytes; borrowed for the call.
 * @key_bytes: their number.
 *
 * Those who wait already get the result of the work that is under way.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: golang.org/x/sync/singleflight. See weft_flight_do.
 */
WEFT_API void weft_flight_forget(weft_flight *fl, const void *key, size_t key_bytes);

WEFT_END_DECLS
#endif
