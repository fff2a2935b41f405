// SPDX-License-Identifier: Apache-2.0
/*
 * debugpage.c - the pages below debug.handler_prefix: what the threads of the server do, in the
 * form that Go's tools know.
 *
 *      worker's thread                     a thread of its own
 *      head (or body) whole --start-->     weft_debug_page_init
 *      answer, free        <--post--       post, running--
 *
 * To make a page is to ask every thread for its stack and to read symbols from files: milliseconds,
 * seconds at the first time, and one of the threads asked is the worker's. So a thread is made for
 * it; LOOKS_MAX at a time, others are told to come back. The client may have gone by the time of
 * the answer (http_wait). Before the loops end debug_end waits for the threads, as they post.
 */
#include "server/httppeer.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <weft/debug.h>

#define LOOKS_MAX 4u
/* Of a question: thousands of addresses. */
#define QUESTION_MAX (1u << 20)

struct look {
    struct http_wait wait; /* first */
    weft_loop_msg msg;
    weft_loop *loop;
    const char *path;
    char *question;
    weft_debug_page page;
    int rc;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t one_less = PTHREAD_COND_INITIALIZER;
static unsigned running; /* under lock: threads that make a page */

static bool take_turn(void)
{
    pthread_mutex_lock(&lock);
    bool free_one = running < LOOKS_MAX;
    running += free_one;
    pthread_mutex_unlock(&lock);
    return free_one;
}

static void give_turn(void)
{
    pthread_mutex_lock(&lock);
    running--;
    pthread_cond_signal(&one_less);
    pthread_mutex_unlock(&lock);
}

void debug_end(void)
{
    pthread_mutex_lock(&lock);
    while (running > 0)
        pthread_cond_wait(&one_less, &lock);
    pthread_mutex_unlock(&lock);
}

static void look_free(struct look *l)
{
    weft_debug_page_fini(&l->page);
    free(l->question);
    free(l);
}

static void answered(weft_loop *loop, weft_loop_msg *msg)
{
    struct look *l = WEFT_LOOP_OWNER(msg, struct look, msg);
    (void)loop;
    if (l->wait.peer && l->rc < 0)
        http_answer_empty(l->wait.peer, 500);
    else if (l->wait.peer)
        http_answer(l->wait.peer, l->page.status, l->page.type,
            "X-Content-Type-Options: nosniff\r\n", (struct weft_span){l->page.text, l->page.bytes});
    look_free(l);
}

static void *look_main(void *arg)
{
    struct look *l = arg;
    l->rc = weft_debug_page_init(&l->page, l->path, l->question);
    weft_loop_post(l->loop, &l->msg);
    give_turn();
    return NULL;
}

static int thread_start(struct look *l)
{
    pthread_t t;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = -pthread_create(&t, NULL, look_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        pthread_detach(t);
    return rc;
}

/* Begins to make the page that answers this question. */
static void start(struct peer *p, struct weft_span question)
{
    struct http *h = p->http;
    if (!take_turn()) {
        http_answer_empty(p, 503);
        return;
    }
    struct look *l = calloc(1, sizeof *l);
    if (l && (l->question = question.data ? strndup(question.data, question.len) : strdup(""))) {
        l->wait.peer = p;
        l->msg.fn = answered;
        l->loop = p->worker->shard.loop;
        l->path = h->route.page;
        h->stage = HTTP_WORKING;
        h->wait = &l->wait;
        if (thread_start(l) == 0)
            return;
        h->wait = NULL;
    }
    give_turn();
    if (l)
        look_free(l);
    http_answer_empty(p, 500);
}

bool debug_head(struct peer *p)
{
    struct http *h = p->http;
    bool get = h->head.method == WEFT_HTTP1_GET || h->head.method == WEFT_HTTP1_HEAD;
    bool bare = *h->route.page == '\0';
    if (!get && h->head.method == WEFT_HTTP1_POST && !bare && !p->worker->shard.draining)
        return true;
    if (h->head.framing != WEFT_HTTP1_NO_BODY)
        h->keep_alive = false;
    if (!get) {
        h->keep_alive = false;
        http_answer_empty(p, p->worker->shard.draining ? 503 : 405);
    } else if (bare) {
        char field[1024];
        snprintf(field, sizeof field, "Location: %.900s/\r\n",
            p->worker->server->cfg->debug.handler_prefix);
        http_answer(p, 301, NULL, field, (struct weft_span){NULL, 0});
    } else {
        start(p, h->head.query);
    }
    return false;
}

void debug_serve(struct peer *p)
{
    struct http *h = p->http;
    if (h->body_bytes > QUESTION_MAX)
        http_answer_text(p, 413, "Request Entity Too Large\n");
    else
        start(p, (struct weft_span){h->body, h->body_bytes});
}
