// SPDX-License-Identifier: Apache-2.0
/*
 * host_libuv.c - a library that uses fibers, in a host program whose main loop is libuv's.
 *
 * The first half is the library: `words_count` starts fibers and returns at once; its callback
 * comes later, on the thread of the host's loop, as callers of such libraries expect. The second
 * half is the host: it gives the library's descriptor and step function to its loop (the same three
 * lines do it in GLib, libevent or a bare poll), and has timers of its own.
 *
 *      host's thread (libuv)                 weft's threads
 *      words_count ── weft_go ─────────────> count: a fiber for each text, and their sum
 *      loop: prepare, poll(words_fd), step <── weft_loop_post
 *      on_counted, its callback
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <weft/loop.h>
#include <weft/weft.h>

/* ---- the library ---- */

typedef void words_callback(void *arg, int words);

struct words_job {
    weft_loop_msg done;
    words_callback *callback;
    void *arg;
    const char *const *texts;
    int count, words;
};

static weft_loop *words_loop; /* turned by the host */

static int words_open(void)
{
    weft_loop_opts opts = {.size = sizeof opts, .kind = WEFT_LOOP_EPOLL};
    int rc = weft_loop_new(&opts, &words_loop);
    if (rc < 0)
        return rc;
    rc = weft_start(NULL); /* the runtime, on threads of its own */
    if (rc < 0)
        weft_loop_free(words_loop);
    return rc;
}

static void words_close(void)
{
    weft_stop();
    weft_loop_free(words_loop);
}

/* What the host gives to its loop: a descriptor, how long it may wait, and the step. */
static int words_fd(void)
{
    return weft_loop_fd(words_loop);
}

static int64_t words_prepare(void)
{
    return weft_loop_prepare(words_loop);
}

static void words_step(void)
{
    weft_loop_step(words_loop, 0);
}

struct words_text {
    const char *text;
    int *ret_words;
};

static int count_text(void *arg) /* a fiber */
{
    struct words_text *t = arg;
    int in_word = 0;
    for (const char *p = t->text; *p; p++) {
        *t->ret_words += *p != ' ' && !in_word;
        in_word = *p != ' ';
    }
    return weft_sleep(WEFT_MS); /* or a request to a server ... */
}

static void tell_host(weft_loop *loop, weft_loop_msg *msg) /* on the host's thread */
{
    struct words_job *job = WEFT_LOOP_OWNER(msg, struct words_job, done);
    (void)loop;
    job->callback(job->arg, job->words);
    free(job);
}

static int count(void *arg) /* a fiber */
{
    struct words_job *job = arg;
    int words[16] = {0}, rc;
    {
        WEFT_SCOPE(s);
        for (int i = 0; i < job->count; i++)
            weft_go_copy(&s, count_text, ((struct words_text){job->texts[i], &words[i]}));
        rc = weft_wait(&s);
    }
    for (int i = 0; i < job->count; i++)
        job->words += words[i];
    if (rc < 0)
        job->words = rc;
    weft_loop_post(words_loop, &job->done);
    return rc;
}

/* At most 16 texts, which stay until the callback. */
static int words_count(const char *const *texts, int count_of, words_callback *callback, void *arg)
{
    struct words_job *job = calloc(1, sizeof *job);
    if (!job)
        return -1;
    job->done.fn = tell_host;
    job->callback = callback;
    job->arg = arg;
    job->texts = texts;
    job->count = count_of;
    int rc = weft_go(NULL, count, job);
    if (rc < 0)
        free(job);
    return rc;
}

/* ---- the host ---- */

static uv_poll_t poll_handle;
static uv_prepare_t prepare_handle;
static uv_check_t check_handle;
static uv_timer_t limit, ticker;
static int ticks, rounds;

static void nothing(uv_timer_t *timer)
{
    (void)timer;
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    (void)handle, (void)status, (void)events; /* on_check steps after each poll */
}

static void on_prepare(uv_prepare_t *handle)
{
    int64_t ns = words_prepare();
    (void)handle;
    if (ns < 0)
        uv_timer_stop(&limit);
    else
        uv_timer_start(&limit, nothing, (uint64_t)((ns + WEFT_MS - 1) / WEFT_MS), 0);
}

static void on_check(uv_check_t *handle)
{
    (void)handle;
    words_step();
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    ticks++;
}

static void close_one(uv_handle_t *handle, void *arg)
{
    (void)arg;
    uv_close(handle, NULL);
}

static const char *const texts[] = {"the quick brown fox", "jumps over", "the lazy dog"};

static void on_counted(void *arg, int words)
{
    uv_loop_t *loop = arg;
    printf("host: round %d counted %d words\n", ++rounds, words);
    if (rounds < 3)
        words_count(texts, rounds + 1, on_counted, loop);
    else
        uv_walk(loop, close_one, NULL); /* then uv_run returns */
}

int main(void)
{
    uv_loop_t *loop = uv_default_loop();
    if (words_open() < 0)
        return 1;
    uv_poll_init(loop, &poll_handle, words_fd());
    uv_poll_start(&poll_handle, UV_READABLE, on_ready);
    uv_prepare_init(loop, &prepare_handle);
    uv_prepare_start(&prepare_handle, on_prepare);
    uv_check_init(loop, &check_handle);
    uv_check_start(&check_handle, on_check);
    uv_timer_init(loop, &limit);
    uv_timer_init(loop, &ticker);
    uv_timer_start(&ticker, on_tick, 0, 1);
    words_count(texts, 1, on_counted, loop);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
    words_close();
    printf("host: its own timer ran %s\n", ticks > 0 ? "too" : "never");
    return ticks == 0;
}
