// SPDX-License-Identifier: Apache-2.0
/*
 * atomic.h - the one door to atomics, so that a simulator can stand in it.
 *
 * Every shared word of the runtime is a plain C11 _Atomic and is touched through these names only.
 * The unmarked forms are sequentially consistent; a weaker order is spelled in the name (_acq,
 * _rel, _rlx) and its line carries [mo:tag], the tag naming a pair (or group) that
 * docs/design/memory-model.md explains, or [mo:alone: why].
 *
 * On x86-64 loads cost nothing at any order, read-modify-writes 2-5 ns at any order; only a store
 * differs: a sequentially consistent one is an exchange. So the weak forms worth having are the
 * releases.
 */
#ifndef WEFT_BASE_ATOMIC_H
#define WEFT_BASE_ATOMIC_H
#include <stdatomic.h>

#define at_load(p) atomic_load(p)
#define at_store(p, v) atomic_store(p, v)
#define at_xchg(p, v) atomic_exchange(p, v)
#define at_add(p, v) atomic_fetch_add(p, v)
#define at_sub(p, v) atomic_fetch_sub(p, v)
#define at_or(p, v) atomic_fetch_or(p, v)
#define at_and(p, v) atomic_fetch_and(p, v)
#define at_cas(p, expected, v) atomic_compare_exchange_strong(p, expected, v)
#define at_fence() atomic_thread_fence(memory_order_seq_cst)
#define at_compiler_fence() atomic_signal_fence(memory_order_seq_cst)

#define at_load_acq(p) atomic_load_explicit(p, memory_order_acquire) /* [mo:alone: definition] */
#define at_load_rlx(p) atomic_load_explicit(p, memory_order_relaxed) /* [mo:alone: definition] */
#define at_store_rel(p, v)                                                                         \
    atomic_store_explicit(p, v, memory_order_release) /* [mo:alone: definition] */
#define at_store_rlx(p, v)                                                                         \
    atomic_store_explicit(p, v, memory_order_relaxed) /* [mo:alone: definition] */
#define at_add_rlx(p, v)                                                                           \
    atomic_fetch_add_explicit(p, v, memory_order_relaxed) /* [mo:alone: definition] */
#endif
