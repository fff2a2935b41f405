// SPDX-License-Identifier: Apache-2.0
/*
 * weft/loop.h - a pinned loop: one thread, one poller, callbacks; a million sockets.
 *
 * A loop is for servers whose connections are mostly idle and outnumber any sensible number of
 * stacks. It has no fibers: one thread turns it (weft_loop_run, or weft_loop_start for a thread of
 * its own), and calls back when a socket is ready, a timer is due or a message has arrived. Never
 * run one on a fiber. Several loops share nothing; they talk by weft_loop_post.
 *
 *      other threads                    the loop's thread, one turn
 *      -------------                    ------------------------------------------------------
 *      weft_loop_post ---> [ queue ] -> wait | timers | messages | socket events | deferred | wait
 *      weft_loop_stop                   (in this order; `now` is read once, after the wait)
 *
 * Nothing is allocated on the way of an event: sockets, timers and messages are records in the
 * caller's memory (40, 32 and 16 bytes), usually members of a larger struct that the callback finds
 * by WEFT_LOOP_OWNER. The loop itself adds 16 bytes a socket. Records start out zeroed.
 *
 * Two back ends, epoll and io_uring, with one behaviour. WEFT_LOOP_AUTO takes io_uring where the
 * kernel has all that is needed and lets us, else epoll (weft_loop_backend_note says why);
 * the environment WEFT_IO=epoll or WEFT_IO=uring decides for AUTO.
 *
 * Readiness is EDGE-TRIGGERED, exactly so:
 *   E1  When an interest is added (by weft_loop_io_add, or by weft_loop_io_set where the bit was
 *       not set), the callback comes if the fd is ready then, or else when it becomes ready.
 *   E2  After a callback with WEFT_LOOP_READ the next one comes when more data, a connection, an
 *       end of stream or an error arrives; not because unread data is still there. So read until
 *       -EAGAIN, or call weft_loop_io_again to be called back on the next turn (to be fair to
 *       others). A short read stands for -EAGAIN unless the event also had RDHUP, HUP or ERR.
 *   E3  After a callback with WEFT_LOOP_WRITE the next one comes after a send came back short or
 *       with -EAGAIN and room appeared.
 *   E4  HUP and ERR come whatever the interest. An error or a hang-up also sets the READ and WRITE
 *       bits that are wanted, so a handler that only reads, or only writes, meets it there.
 *   E5  A callback may be spurious: the operation then answers -EAGAIN. One readiness may come as
 *       one callback with two bits or as two callbacks.
 *   E6  After weft_loop_io_remove or _close no callback comes for that record, not even one of
 *       the batch being delivered, and its memory may be freed or used again at once. The same
 *       holds for weft_loop_timer_stop.
 *
 * Threads: all functions belong to the loop's thread, or to the thread that made the loop until it
 * runs. Those that any thread may call say so.
 */
#ifndef WEFT_LOOP_H
#define WEFT_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_loop weft_loop;
typedef struct weft_loop_listener weft_loop_listener;
typedef struct weft_loop_io weft_loop_io;
typedef struct weft_loop_timer weft_loop_timer;
typedef struct weft_loop_msg weft_loop_msg;

/* The struct that holds a record: conn *c = WEFT_LOOP_OWNER(io, conn, io); */
#define WEFT_LOOP_OWNER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Two pointers by which the loop chains records; all its own. */
typedef struct weft_loop_link {
    struct weft_loop_link *next, *prev;
} weft_loop_link;

/* ---- the loop ---- */

enum weft_loop_kind { WEFT_LOOP_AUTO = 0, WEFT_LOOP_EPOLL = 1, WEFT_LOOP_URING = 2 };

/* Options; zero is the default of each. `size` is sizeof(weft_loop_opts), so that it can grow. */
typedef struct weft_loop_opts {
    size_t size;
    enum weft_loop_kind
        kind;       /* AUTO asks WEFT_IO, then the kernel; a fixed kind is never swapped */
    bool pin;       /* bind the thread that runs the loop to `cpu` */
    int cpu;        /* with pin: the processor's number */
    unsigned batch; /* most events taken from the kernel at once (0: 512) */
    /* Refuse sockets past this number (0: no limit of the loop's own). AUTO takes epoll from 65,537
     * on: cancelling in io_uring grows with the number of polls. */
    unsigned max_fds;
    const char *name; /* copied; name of the thread made by weft_loop_start (15 bytes) */
    void *data;       /* for the caller, see weft_loop_data */
} weft_loop_opts;

/* Counters since weft_loop_new. */
typedef struct weft_loop_stats {
    uint64_t turns;         /* times round */
    uint64_t waits;         /* turns that waited in the kernel with nothing to do */
    uint64_t wakeups;       /* eventfd writes that posts and stops cost */
    uint64_t io_events;     /* io callbacks */
    uint64_t messages;      /* message callbacks, posted ones only */
    uint64_t timers_fired;  /* timer callbacks */
    uint64_t accepted;      /* connections accepted */
    uint64_t accept_pauses; /* times a listener paused for want of fds or memory */
    uint64_t sends;         /* sends tried by weft_loop_send, sendv and send_batch */
    uint64_t sends_blocked; /* of them -EAGAIN */
    uint64_t bytes_sent;    /* bytes that they gave to the kernel */
    uint64_t stale_events;  /* kernel events that came for a removed record, dropped */
    uint64_t io_count;      /* records added at present, listeners included */
    uint64_t timer_count;   /* timers running at present */
} weft_loop_stats;

/**
 * weft_loop_new - make a loop; it does not run yet.
 * @opts:     options, or NULL for the defaults; borrowed for the call.
 * @ret_loop: the loop, returned owned; end it with weft_loop_free.
 *
 * Returns 0.
 *   -ENOMEM, -EMFILE, -ENFILE; -EINVAL an unknown kind or size, or a WEFT_IO that is neither epoll
 *   nor uring; -ENOSYS io_uring was asked for (by opts or WEFT_IO) and the kernel lacks what it
 *   takes, -EPERM the same where it is forbidden (seccomp, kernel.io_uring_disabled).
 * Blocks:    never.
 * Callable:  any thread. Until the loop runs it belongs to the thread that made it, which may add
 *            sockets, timers and listeners already.
 * Order:     none.
 * Cost:      a dozen system calls, about 100 KiB.
 * Since 0.1. See weft_loop_run, weft_loop_start.
 */
WEFT_API WEFT_MUST_CHECK int weft_loop_new(const weft_loop_opts *opts, weft_loop **ret_loop);

/**
 * weft_loop_run - turn the loop on this thread until weft_loop_stop.
 * @loop: loop; borrowed for the call.
 *
 * Returns 0 after a stop (one that came before the run counts too, and is used up by it).
 *   -EBUSY it runs already; -EXDEV it was turned by another thread before (a loop belongs to the
 *   first thread that turns it); -EINVAL the processor to pin to does not exist; or what the
 *   kernel's wait failed with.
 * Blocks:    the thread, for as long as the loop runs.
 * Callable:  any plain thread; never a fiber, never from a callback of a loop.
 * Order:     everything before the call happens-before every callback.
 * Cost:      a turn is one system call, plus one for each change of a WRITE interest on epoll.
 * Since 0.1. See weft_loop_start, weft_loop_step.
 */
WEFT_API int weft_loop_run(weft_loop *loop);

/**
 * weft_loop_start - run the loop on a thread of its own.
 * @loop: loop; belongs to the new thread from here on.
 *
 * The thread has the loop's name, and all signals blocked but SIGURG, by which a dump asks for its
 * stack (weft/debug.h).
 *
 * Returns 0: the thread turns the loop; -EBUSY it is started already; -EAGAIN no thread could be
 *   made; or what weft_loop_run returned on the thread, which has ended then.
 * Blocks:    the thread, until the new one has got as far: tens of microseconds.
 * Callable:  the thread that made the loop.
 * Order:     everything before the call happens-before every callback.
 * Cost:      a thread.
 * Since 0.1. See weft_loop_join.
 */
WEFT_API WEFT_MUST_CHECK int weft_loop_start(weft_loop *loop);

/**
 * weft_loop_join - wait until a loop that weft_loop_start started has ended.
 * @loop: loop; still to be freed afterwards.
 *
 * Does not stop it: call weft_loop_stop first.
 *
 * Returns what weft_loop_run returned on its thread; -EINVAL if it was not started.
 * Blocks:    the thread.
 * Callable:  one plain thread, not the loop's own.
 * Order:     every callback happens-before the return.
 * Cost:      a pthread_join.
 * Since 0.1. See weft_loop_start.
 */
WEFT_API int weft_loop_join(weft_loop *loop);

/**
 * weft_loop_stop - make weft_loop_run return at the end of its turn.
 * @loop: loop; borrowed for the call.
 *
 * Messages posted before the stop are still delivered, those posted later need not be (they stay
 * queued). Sockets, timers and listeners keep their state: the loop may run again on the same
 * thread.
 *
 * Blocks:    never.
 * Callable:  any thread, and from callbacks.
 * Order:     as weft_loop_post.
 * Cost:      a store, and an eventfd write where the loop sleeps.
 * Since 0.1. See weft_loop_run.
 */
WEFT_API void weft_loop_stop(weft_loop *loop);

/**
 * weft_loop_free - end a loop that does not run.
 * @loop: loop, taken; NULL is ignored.
 *
 * Listeners that are left are closed and freed. Sockets that are left are forgotten, not closed:
 * their fds are the caller's. Messages and timers that are left are never called.
 *
 * Blocks:    at most for the kernel's cancellation of polls, microseconds.
 * Callable:  the loop's thread after weft_loop_run, the thread that joined it, or the thread that
 *            made it if it never ran. No other thread may post any more.
 * Order:     none.
 * Cost:      a few system calls.
 * Since 0.1. See weft_loop_new.
 */
WEFT_API void weft_loop_free(weft_loop *loop);

/**
 * weft_loop_self - the loop that this thread is turning.
 *
 * Returns the loop inside its callbacks (and inside weft_loop_run); NULL elsewhere. Borrowed.
 * Blocks:    never.
 * Callable:  anywhere.
 * Order:     none.
 * Cost:      reads a thread-local variable.
 * Since 0.1.
 */
WEFT_API weft_loop *weft_loop_self(void);

/**
 * weft_loop_data - the pointer given as opts.data.
 * @loop: loop.
 *
 * Returns the pointer, as it was given; NULL if none was.
 * Blocks:    never.
 * Callable:  any thread.
 * Order:     none.
 * Cost:      a load.
 * Since 0.1. See weft_loop_new.
 */
WEFT_API void *weft_loop_data(const weft_loop *loop);

/**
 * weft_loop_now_ns - the monotonic time at which this turn began.
 * @loop: loop.
 *
 * Read once a turn, after the wait, so it is the same for all callbacks of a turn; delays of timers
 * count from it. weft_loop_update_now refreshes it after long work.
 *
 * Returns nanoseconds of CLOCK_MONOTONIC.
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      a load.
 * Since 0.1. See weft_loop_update_now.
 */
WEFT_API int64_t weft_loop_now_ns(const weft_loop *loop);

/**
 * weft_loop_update_now - read the clock anew in the middle of a turn.
 * @loop: loop.
 *
 * Returns the time, which weft_loop_now_ns answers from here on.
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      a clock read, some 25 ns.
 * Since 0.1. See weft_loop_now_ns.
 */
WEFT_API int64_t weft_loop_update_now(weft_loop *loop);

/**
 * weft_loop_backend - the name of the back end in use.
 * @loop: loop.
 *
 * Returns "epoll" or "io_uring"; static.
 * Blocks:    never.
 * Callable:  any thread.
 * Order:     none.
 * Cost:      a load.
 * Since 0.1. See weft_loop_backend_note.
 */
WEFT_API const char *weft_loop_backend(const weft_loop *loop);

/**
 * weft_loop_backend_note - why the loop has the back end that it has.
 * @loop: loop.
 *
 * Returns one sentence, as "io_uring is forbidden here (io_uring_setup: EPERM)"; returned borrowed
 *   until weft_loop_free.
 * Blocks:    never.
 * Callable:  any thread.
 * Order:     none.
 * Cost:      a load.
 * Since 0.1. See weft_loop_backend.
 */
WEFT_API const char *weft_loop_backend_note(const weft_loop *loop);

/**
 * weft_loop_stats_get - copy the counters.
 * @loop:      loop; borrowed for the call.
 * @ret_stats: filled.
 *
 * Each counter is read by itself, so from another thread they need not be of one moment.
 *
 * Blocks:    never.
 * Callable:  any thread.
 * Order:     none.
 * Cost:      a dozen loads.
 * Since 0.1.
 */
WEFT_API void weft_loop_stats_get(const weft_loop *loop, weft_loop_stats *ret_stats);

/* ---- turning it by hand, inside a foreign event loop ---- */

/**
 * weft_loop_fd - an fd that is readable when the loop has something to do.
 * @loop: loop.
 *
 * For embedding: ask weft_loop_prepare how long to wait, wait for this fd (or any other) that long
 * in the foreign loop, then call weft_loop_step(loop, 0); and so on.
 *
 * Returns the fd; owned by the loop: only to be polled for reading, never read or closed.
 *   -EOPNOTSUPP on io_uring, whose completions are made only while the loop itself waits: a loop
 *   that is to be embedded is made with WEFT_LOOP_EPOLL.
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      a load.
 * Since 0.1. See weft_loop_prepare, weft_loop_step.
 */
WEFT_API int weft_loop_fd(weft_loop *loop);

/**
 * weft_loop_prepare - get ready for a wait outside, and say how long it may last.
 * @loop: loop; borrowed for the call.
 *
 * Hands pending changes to the kernel and declares the loop asleep, so that posts make the fd
 * readable. To be called directly before each wait.
 *
 * Returns the longest wait in nanoseconds: 0 when work is pending, -1 when there is no limit.
 * Blocks:    never.
 * Callable:  the loop's thread, not inside weft_loop_run.
 * Order:     a post that this call did not see makes the fd readable.
 * Cost:      at most one system call.
 * Since 0.1. See weft_loop_fd, weft_loop_step.
 */
WEFT_API int64_t weft_loop_prepare(weft_loop *loop);

/**
 * weft_loop_step - one turn.
 * @loop:       loop; borrowed for the call.
 * @timeout_ns: longest wait; 0 polls, a negative value waits without limit. The next timer, and
 *              pending work, shorten it.
 *
 * Returns 1 if it was told to stop (which this return uses up), else 0; errors as weft_loop_run.
 * Blocks:    the thread, at most timeout_ns and the callbacks.
 * Callable:  as weft_loop_run: the first thread to step a loop owns it.
 * Order:     as weft_loop_run.
 * Cost:      one system call.
 * Since 0.1. See weft_loop_run.
 */
WEFT_API int weft_loop_step(weft_loop *loop, int64_t timeout_ns);

/* ---- messages: the only way in from outside ---- */

typedef void weft_loop_msg_fn(weft_loop *loop, weft_loop_msg *msg);

/* A message: memory of the sender's, the loop's from the post until the callback begins. */
struct weft_loop_msg {
    weft_loop_msg *next;  /* the loop's, and weft_loop_post_list's */
    weft_loop_msg_fn *fn; /* set by the caller before posting */
};

/**
 * weft_loop_post - have msg->fn called on the loop's thread.
 * @loop: loop; must not be freed meanwhile.
 * @msg:  message with fn set, not queued anywhere; taken until its callback begins, which may free
 *        or post it again.
 *
 * Blocks:    never; wait-free.
 * Callable:  any thread, fiber or loop callback, also before the loop runs. Not signal handlers.
 * Order:     the post happens-before the callback. First in, first out for each poster. A message
 *            posted during a turn's deliveries comes on the next turn, so posts cannot starve I/O.
 * Cost:      one exchange (about 20 ns, 120 ns contended), and an eventfd write only where the loop
 *            sleeps: once a batch.
 * Since 0.1. See weft_loop_post_list, weft_loop_defer.
 */
WEFT_API void weft_loop_post(weft_loop *loop, weft_loop_msg *msg);

/**
 * weft_loop_call - run a function on the loop's thread, and wait for what it returns.
 * @loop: loop; must not be freed meanwhile. Somebody must turn it, or this never returns.
 * @fn:   called by the loop among its messages; may not wait.
 * @arg:  passed on to it.
 *
 * For fibers that want something of a host program whose loop, windows or interpreter belong to
 * one thread.
 *
 * Returns what fn returned.
 * Blocks:    parks the fiber, and is not a cancellation point: arg may lie in the caller's frame.
 * Callable:  any fiber; a plain thread too, but never the loop's own.
 * Order:     the call happens-before fn, and fn happens-before the return.
 * Cost:      as weft_loop_post, and a wake-up of the fiber.
 * Since 0.1. See weft_loop_post, weft_start.
 */
WEFT_API int weft_loop_call(weft_loop *loop, int (*fn)(void *), void *arg);

/**
 * weft_loop_post_list - post several messages at the price of one.
 * @loop:  loop.
 * @first: first message, linked by `next` as far as @last; taken, as by weft_loop_post.
 * @last:  last message; its `next` is ignored. May be @first.
 *
 * The list stays together: no other poster's message comes between.
 *
 * Blocks:    never; wait-free.
 * Callable:  as weft_loop_post.
 * Order:     as weft_loop_post.
 * Cost:      as one weft_loop_post.
 * Since 0.1. See weft_loop_post.
 */
WEFT_API void weft_loop_post_list(weft_loop *loop, weft_loop_msg *first, weft_loop_msg *last);

/**
 * weft_loop_defer - have msg->fn called at the end of this turn, before the loop waits again.
 * @loop: loop.
 * @msg:  message with fn set, not queued anywhere; taken until its callback begins.
 *
 * For work that a turn's events have in common, as one send for many replies. One deferred while
 * deferred messages are being called comes at the end of the next turn, which then does not wait.
 *
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     first in, first out.
 * Cost:      two stores.
 * Since 0.1. See weft_loop_post.
 */
WEFT_API void weft_loop_defer(weft_loop *loop, weft_loop_msg *msg);

/* ---- timers ---- */

/* A timer's resolution: deadlines are rounded up to it. */
#define WEFT_LOOP_TICK_NS WEFT_MS

typedef void weft_loop_timer_fn(weft_loop *loop, weft_loop_timer *timer);

struct weft_loop_timer {
    weft_loop_link link;    /* the loop's; link.next is NULL while the timer does not run */
    weft_loop_timer_fn *fn; /* set by the caller before the start */
    uint64_t tick;          /* the loop's: when it fires, in ticks of CLOCK_MONOTONIC */
};

/**
 * weft_loop_timer_start - fire a timer once, after a delay.
 * @loop:     loop.
 * @timer:    timer with fn set; started anew if it runs. Taken until it fires or is stopped.
 * @delay_ns: counted from weft_loop_now_ns; a negative one counts as 0.
 * @slack_ns: how much later it may fire as well; 0 is exact to a tick. With slack (pings, idle
 *            limits) timers share few ticks, which makes a million of them cheap.
 *
 * The timer never fires early, never in the turn that started it, and at most one tick and the
 * slack late, plus the time that callbacks take. Timers of one tick fire in the order of their
 * starts, those of different ticks in the order of their deadlines. It may be started again,
 * stopped or freed in its own callback.
 *
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      O(1), some 10 ns; no system call.
 * Since 0.1. See weft_loop_timer_start_at, weft_loop_timer_stop.
 */
WEFT_API void weft_loop_timer_start(
    weft_loop *loop, weft_loop_timer *timer, int64_t delay_ns, int64_t slack_ns);

/**
 * weft_loop_timer_start_at - fire a timer once, at a time.
 * @loop:        loop.
 * @timer:       as for weft_loop_timer_start.
 * @deadline_ns: of CLOCK_MONOTONIC; one that has passed fires on the next turn.
 * @slack_ns:    as for weft_loop_timer_start.
 *
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     as weft_loop_timer_start.
 * Cost:      as weft_loop_timer_start.
 * Since 0.1. See weft_loop_timer_start.
 */
WEFT_API void weft_loop_timer_start_at(
    weft_loop *loop, weft_loop_timer *timer, int64_t deadline_ns, int64_t slack_ns);

/**
 * weft_loop_timer_stop - keep a timer from firing.
 * @loop:  loop.
 * @timer: timer; may be one that does not run. Its memory is the caller's again.
 *
 * Returns true if it was running, false if it had fired, or was never started.
 * Blocks:    never.
 * Callable:  the loop's thread, from any callback, for timers due in this very turn too.
 * Order:     none.
 * Cost:      O(1).
 * Since 0.1. See weft_loop_timer_start.
 */
WEFT_API bool weft_loop_timer_stop(weft_loop *loop, weft_loop_timer *timer);

/**
 * weft_loop_timer_running - whether a timer is going to fire.
 * @timer: timer.
 *
 * Returns true from the start until it fires or is stopped; false inside its own callback.
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      a load.
 * Since 0.1. See weft_loop_timer_start.
 */
WEFT_API bool weft_loop_timer_running(const weft_loop_timer *timer);

/* ---- sockets (and pipes, eventfds, ... whatever can be polled) ---- */

/* Events and interests. RDHUP: the peer has ended its side (reads come to their end); it comes with
 * the READ interest. HUP: both sides are closed. ERR: an error is pending. */
enum {
    WEFT_LOOP_READ = 1u,
    WEFT_LOOP_WRITE = 2u,
    WEFT_LOOP_RDHUP = 4u,
    WEFT_LOOP_HUP = 8u,
    WEFT_LOOP_ERR = 16u
};

typedef void weft_loop_io_fn(weft_loop *loop, weft_loop_io *io, unsigned events);

/* A socket's record, zeroed before its first use. fn may be changed between callbacks (a connection
 * whose protocol changes does so); fd may be read; the rest is the loop's. */
struct weft_loop_io {
    weft_loop_io_fn *fn;
    weft_loop_link link; /* in the loop's list of records to call again */
    int fd;
    uint32_t slot;    /* index + 1 into the loop's table; 0: not added */
    uint8_t interest; /* READ and WRITE as asked for */
    uint8_t again;    /* events to deliver on the next turn without asking the kernel */
    uint8_t armed;    /* the back end's: what the kernel watches */
    uint8_t flags;    /* the loop's */
    uint32_t reserved;
};

/**
 * weft_loop_io_add - watch a file descriptor.
 * @loop:   loop.
 * @io:     record, zeroed or removed before; taken until weft_loop_io_remove or _close.
 * @fd:     non-blocking file descriptor; stays the caller's. Added to one loop only, once.
 * @events: WEFT_LOOP_READ, WEFT_LOOP_WRITE, both, or 0 for HUP and ERR alone.
 * @fn:     called as E1 to E6 say; it may change, remove and free any record, its own too.
 *
 * Returns 0.
 *   -ENOMEM; -ENOSPC opts.max_fds reached; -EBADF; -EPERM a regular file; -EEXIST the fd is in this
 *   loop already. (The last three are the kernel's answers to epoll. On io_uring a bad fd comes as
 *   a callback with ERR, and the other two go unnoticed.)
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      16 bytes; one epoll_ctl, or a request submitted with the turn's wait.
 * Since 0.1. See weft_loop_io_set, weft_loop_io_remove.
 */
WEFT_API WEFT_MUST_CHECK int weft_loop_io_add(
    weft_loop *loop, weft_loop_io *io, int fd, unsigned events, weft_loop_io_fn *fn);

/**
 * weft_loop_io_set - change what a record waits for.
 * @loop:   loop.
 * @io:     record in this loop.
 * @events: the new interest: WEFT_LOOP_READ, WEFT_LOOP_WRITE, both or 0.
 *
 * A bit that is set anew is reported by E1; one that was set before changes nothing; one that is
 * no longer set is not called back any more. The usual course of a blocked sender: -EAGAIN, set
 * READ|WRITE; on WRITE set READ, send on.
 *
 * Returns 0; -ENOENT the record is not in the loop; -ENOMEM or -ENOSPC from epoll_ctl.
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      WRITE set anew: one epoll_ctl, or one request with the turn's wait. All else: stores.
 * Since 0.1. See weft_loop_io_add, weft_loop_io_again.
 */
WEFT_API int weft_loop_io_set(weft_loop *loop, weft_loop_io *io, unsigned events);

/**
 * weft_loop_io_again - call a record back on the next turn, whatever the kernel says.
 * @loop:   loop.
 * @io:     record in this loop.
 * @events: READ, WRITE or both; delivered as far as they are in the interest by then.
 *
 * For a handler that stops reading before -EAGAIN, so that one busy peer cannot hold up the rest.
 * The next turn does not wait.
 *
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     first in, first out, before the events that the kernel brings.
 * Cost:      a few stores; no system call.
 * Since 0.1. See weft_loop_io_set.
 */
WEFT_API void weft_loop_io_again(weft_loop *loop, weft_loop_io *io, unsigned events);

/**
 * weft_loop_io_remove - watch a file descriptor no longer; the fd stays open.
 * @loop: loop.
 * @io:   record; one that is not added is left alone. The caller's again at once (E6).
 *
 * On io_uring the kernel keeps the file until the end of this turn: an fd that is closed right
 * after this call tells its peer so then. shutdown(2) before it tells at once.
 *
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      one epoll_ctl, or a request with the turn's wait.
 * Since 0.1. See weft_loop_io_close.
 */
WEFT_API void weft_loop_io_remove(weft_loop *loop, weft_loop_io *io);

/**
 * weft_loop_io_close - remove a record and close its fd.
 * @loop: loop.
 * @io:   record; one that is not added is left alone. The caller's again at once (E6).
 *
 * Cheaper than remove and close (epoll needs no call of its own), and listeners that paused for
 * want of file descriptors accept again: close the fds of connections by this function.
 *
 * Blocks:    as close(2): no, for a socket without SO_LINGER.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      one close; on io_uring a request with the turn's wait too.
 * Since 0.1. See weft_loop_io_remove.
 */
WEFT_API void weft_loop_io_close(weft_loop *loop, weft_loop_io *io);

/**
 * weft_loop_recv - read from a socket, never waiting.
 * @loop:  loop.
 * @io:    record of a socket, in this loop.
 * @buf:   buffer of the caller's; usually one for the whole loop.
 * @bytes: its size, above 0.
 *
 * Returns the bytes read; 0 the end of the stream; -EAGAIN nothing there; else a negative errno.
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      one recv(2).
 * Since 0.1. See weft_loop_send.
 */
WEFT_API ssize_t weft_loop_recv(weft_loop *loop, weft_loop_io *io, void *buf, size_t bytes);

/**
 * weft_loop_send - give bytes to a socket, never waiting and never raising SIGPIPE.
 * @loop:  loop.
 * @io:    record of a socket, in this loop.
 * @data:  bytes, copied by the kernel before the call returns.
 * @bytes: how many.
 *
 * Returns the bytes taken, possibly fewer than @bytes; -EAGAIN none (wait for WRITE: E3); -EPIPE or
 *   -ECONNRESET the peer is gone; else a negative errno.
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      one send(2): on loopback, idle machine, 1.8 us, plus 16 ns a 132-byte message inside.
 * Since 0.1. See weft_loop_sendv, weft_loop_send_batch.
 */
WEFT_API ssize_t weft_loop_send(weft_loop *loop, weft_loop_io *io, const void *data, size_t bytes);

/**
 * weft_loop_sendv - as weft_loop_send, from several places at once.
 * @loop:  loop.
 * @io:    record of a socket, in this loop.
 * @iov:   ranges, in order; copied by the kernel before the call returns.
 * @count: how many, 1 to 1024.
 *
 * Returns as weft_loop_send.
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      one sendmsg(2).
 * Since 0.1. See weft_loop_send.
 */
WEFT_API ssize_t weft_loop_sendv(
    weft_loop *loop, weft_loop_io *io, const struct iovec *iov, int count);

/* One send of a batch. */
typedef struct weft_loop_send_op {
    weft_loop_io *io; /* record of a socket, in this loop */
    const void *data; /* one contiguous range */
    size_t bytes;
    ssize_t result; /* out: as weft_loop_send returns */
} weft_loop_send_op;

/**
 * weft_loop_send_batch - a range to each of many sockets: the pass of a broadcast.
 * @loop:  loop.
 * @ops:   sends; `result` of each is filled. They are independent: one that fails stops no other.
 * @count: how many; any number.
 *
 * Returns how many took all their bytes; the others are to be looked at.
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     in order of the array; two sends to one socket keep their order.
 * Cost:      epoll: `count` calls of send(2). io_uring: one system call for 128 sends.
 * Since 0.1. See weft_loop_send.
 */
WEFT_API size_t weft_loop_send_batch(weft_loop *loop, weft_loop_send_op *ops, size_t count);

WEFT_END_DECLS

#include <weft/loop_listen.h>

#endif
