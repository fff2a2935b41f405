// SPDX-License-Identifier: Apache-2.0
/*
 * weft/weft.h - all of weft that most programs use, in one include.
 *
 * Reading order: fiber.h and scope.h (start and join), chan.h and select.h (talk), ctx.h (end in
 * time), then the rest. Headers for special needs are included by name: weft/http.h, weft/ws.h,
 * weft/loop.h, weft/http1.h, weft/wsproto.h and others.
 */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H

#include <weft/barrier.h>
#include <weft/base.h>
#include <weft/chan.h>
#include <weft/cond.h>
#include <weft/ctx.h>
#include <weft/debug.h>
#include <weft/error.h>
#include <weft/fiber.h>
#include <weft/file.h>
#include <weft/flight.h>
#include <weft/group.h>
#include <weft/mutex.h>
#include <weft/net.h>
#include <weft/once.h>
#include <weft/panic.h>
#include <weft/process.h>
#include <weft/run.h>
#include <weft/rwmutex.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/sema.h>
#include <weft/signal.h>
#include <weft/timer.h>
#include <weft/version.h>
#include <weft/waitgroup.h>
#include <weft/sugar.h>

#endif
