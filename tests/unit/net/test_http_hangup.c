// SPDX-License-Identifier: Apache-2.0
/*
 * test_http_hangup.c - a handler is told when its client hangs up, by the end of its context; and
 * what must not tell it so: pipelined requests, a body under way, a connection that was taken over.
 *
 * Nothing here waits for time: handlers say when they have been entered and how they ended, and
 * what the client does in between is the event.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net_rig.h"

enum { BIG = 8 << 20 };

struct stage {
    struct server server;
    struct peer p;
    weft_sema entered, leave, ended, never;
    _Atomic int rc, err, cause, calls;
    _Atomic size_t body_bytes;
    char why[128];
};

/* Until its context ends; how it ended, for the test to see. */
static void await_end(struct stage *t)
{
    weft_ctx *c = weft_ctx_current();
    t->rc = weft_sema_acquire(&t->never, 1);
    t->err = weft_ctx_err(c);
    t->cause = weft_error_code(weft_ctx_cause(c));
    snprintf(t->why, sizeof t->why, "%s", weft_error_message(weft_ctx_cause(c)));
}

/* The last act of a handler that a test waits for. */
static int over(struct stage *t, int rc)
{
    weft_sema_release(&t->ended, 1);
    return rc;
}

static int wait_and_answer(struct stage *t, weft_http_reply *reply)
{
    weft_sema_release(&t->entered, 1);
    await_end(t);
    return over(t, weft_http_reply_text(reply, 200, "waited\n"));
}

static int stream(struct stage *t, weft_http_reply *reply)
{
    weft_sema_release(&t->entered, 1);
    await_end(t);
    char *big = malloc(BIG); /* more than sockets hold: it must wait */
    memset(big, 'b', BIG);
    int rc = weft_http_reply_write(reply, big, BIG);
    free(big);
    return over(t, rc);
}

static int read_body(struct stage *t, weft_http_request *req, weft_http_reply *reply)
{
    struct weft_span b;
    weft_sema_release(&t->entered, 1);
    weft_sema_acquire(&t->leave, 1); /* the whole body and the client's end have been sent */
    int rc = weft_http_request_body(req, 0, &b);
    if (rc < 0)
        return over(t, rc);
    t->body_bytes = b.len;
    await_end(t);
    return over(t, weft_http_reply_text(reply, 200, "taken\n"));
}

static int take_over(struct stage *t, weft_http_request *req)
{
    struct weft_span rest;
    char c;
    int fd = weft_http_request_hijack(req, &rest);
    CHECK(fd >= 0);
    weft_sema_release(&t->entered, 1);
    t->rc = (int)weft_read(fd, &c, 1);
    t->err = weft_ctx_err(weft_ctx_current());
    weft_close(fd);
    return over(t, 0);
}

static int until_told(struct stage *t, weft_http_reply *reply)
{
    weft_sema_release(&t->entered, 1);
    t->rc = weft_sema_acquire(&t->leave, 1);
    return t->rc < 0 ? t->rc : weft_http_reply_text(reply, 200, "told\n");
}

static int handler(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    struct stage *t = arg;
    t->calls++;
    if (weft_http_request_is(req, "GET", "/wait"))
        return wait_and_answer(t, reply);
    if (weft_http_request_is(req, "GET", "/stream"))
        return stream(t, reply);
    if (weft_http_request_is(req, "POST", "/body"))
        return read_body(t, req, reply);
    if (weft_http_request_is(req, "GET", "/take"))
        return take_over(t, req);
    if (weft_http_request_is(req, "GET", "/told"))
        return until_told(t, reply);
    t->err = weft_ctx_err(weft_ctx_current());
    return weft_http_reply_text(reply, 200, "hello\n");
}

static struct stage *stage_new(const weft_http_serve_opts *opts)
{
    struct stage *t = calloc(1, sizeof *t);
    weft_sema_init(&t->entered, 0, NULL);
    weft_sema_init(&t->leave, 0, NULL);
    weft_sema_init(&t->ended, 0, NULL);
    weft_sema_init(&t->never, 0, NULL);
    server_start(&t->server, handler, t, opts);
    return t;
}

static void stage_free(struct stage *t)
{
    CHECK_EQ(server_stop(&t->server), 0);
    free(t);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

/* Sends the request and returns when its handler runs. */
static void ask(struct stage *t, const char *request)
{
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, request);
    CHECK_EQ(weft_sema_acquire(&t->entered, 1), 0);
}

static void told_of_hang_up(struct stage *t)
{
    CHECK_EQ(weft_sema_acquire(&t->ended, 1), 0);
    CHECK_EQ(t->rc, -ECANCELED);
    CHECK_EQ(t->err, -ECANCELED);
    CHECK_EQ(t->cause, -ECONNRESET);
    CHECK_HAS(t->why, "the client has hung up");
}

NET_TEST(a_close_ends_the_handlers_context)
{
    struct stage *t = stage_new(NULL);
    ask(t, GET("/wait"));
    weft_close(t->p.fd);
    told_of_hang_up(t);
    stage_free(t);
}

NET_TEST(so_it_does_on_a_kept_connection)
{
    struct stage *t = stage_new(NULL);
    peer_dial(&t->p, t->server.address);
    for (int i = 0; i < 3; i++) {
        peer_send(&t->p, GET("/hello"));
        peer_until(&t->p, "\r\n\r\nhello\n");
        CHECK_EQ(t->err, 0);
    }
    peer_send(&t->p, GET("/wait"));
    CHECK_EQ(weft_sema_acquire(&t->entered, 1), 0);
    weft_close(t->p.fd);
    told_of_hang_up(t);
    stage_free(t);
}

NET_TEST(a_reset_ends_it_too)
{
    struct stage *t = stage_new(NULL);
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    ask(t, GET("/wait"));
    CHECK_EQ(setsockopt(t->p.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    weft_close(t->p.fd);
    told_of_hang_up(t);
    stage_free(t);
}

/* As in Go, an end of the client's sending side is a hang-up; as there, the reply arrives. */
NET_TEST(a_half_close_ends_it_and_the_reply_arrives)
{
    struct stage *t = stage_new(NULL);
    ask(t, GET("/wait"));
    CHECK_EQ(weft_shutdown(t->p.fd, SHUT_WR), 0);
    told_of_hang_up(t);
    peer_end(&t->p);
    CHECK_HAS(t->p.text, "HTTP/1.1 200 OK\r\n");
    CHECK_HAS(t->p.text, "\r\n\r\nwaited\n");
    stage_free(t);
}

NET_TEST(a_half_close_before_the_handler_runs)
{
    struct stage *t = stage_new(NULL);
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, GET("/wait"));
    CHECK_EQ(weft_shutdown(t->p.fd, SHUT_WR), 0);
    told_of_hang_up(t);
    peer_end(&t->p);
    CHECK_HAS(t->p.text, "\r\n\r\nwaited\n");
    stage_free(t);
}

/* The end comes while the reply waits for room: the rest goes out all the same. */
NET_TEST(a_long_reply_goes_out_after_a_half_close)
{
    struct stage *t = stage_new(NULL);
    ask(t, "GET /stream HTTP/1.0\r\n\r\n");
    CHECK_EQ(weft_shutdown(t->p.fd, SHUT_WR), 0);
    size_t got = 0;
    ssize_t n;
    while ((n = weft_read(t->p.fd, t->p.text, sizeof t->p.text)) > 0)
        got += (size_t)n;
    CHECK_EQ(n, 0);
    CHECK(got > BIG);
    told_of_hang_up(t);
    weft_close(t->p.fd);
    stage_free(t);
}

NET_TEST(a_pipelined_request_is_no_hang_up_and_is_served)
{
    struct stage *t = stage_new(NULL);
    ask(t, GET("/told"));
    peer_send(&t->p, GET("/hello"));
    CHECK_EQ(t->calls, 1);
    weft_sema_release(&t->leave, 1);
    peer_until(&t->p, "\r\n\r\ntold\n");
    peer_until(&t->p, "\r\n\r\nhello\n");
    CHECK_EQ(t->rc, 0);
    CHECK_EQ(t->err, 0);
    weft_close(t->p.fd);
    stage_free(t);
}

/* What was pipelined before the end is answered, under a context that has ended. */
NET_TEST(pipelined_then_half_closed)
{
    struct stage *t = stage_new(NULL);
    ask(t, GET("/wait"));
    peer_send(&t->p, GET("/hello"));
    CHECK_EQ(weft_shutdown(t->p.fd, SHUT_WR), 0);
    told_of_hang_up(t);
    peer_end(&t->p);
    CHECK_HAS(t->p.text, "\r\n\r\nwaited\n");
    CHECK_HAS(t->p.text, "\r\n\r\nhello\n");
    CHECK_EQ(t->err, -ECANCELED);
    stage_free(t);
}

/* A client that has sent its whole body and its end: the body comes first. */
NET_TEST(a_body_is_read_before_its_clients_end_counts)
{
    struct stage *t = stage_new(NULL);
    enum { N = 100000 };
    char *data = calloc(1, N + 1);
    memset(data, 'x', N);
    ask(t, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    peer_send(&t->p, data);
    CHECK_EQ(weft_shutdown(t->p.fd, SHUT_WR), 0);
    weft_sema_release(&t->leave, 1);
    told_of_hang_up(t);
    CHECK_EQ(t->body_bytes, N);
    peer_end(&t->p);
    CHECK_HAS(t->p.text, "\r\n\r\ntaken\n");
    free(data);
    stage_free(t);
}

NET_TEST(who_takes_the_connection_over_reads_the_end_himself)
{
    struct stage *t = stage_new(NULL);
    ask(t, GET("/take"));
    CHECK_EQ(weft_shutdown(t->p.fd, SHUT_WR), 0);
    CHECK_EQ(weft_sema_acquire(&t->ended, 1), 0);
    CHECK_EQ(t->rc, 0);
    CHECK_EQ(t->err, 0);
    peer_end(&t->p);
    stage_free(t);
}

/* The stop of a server says so by its own cause, and not as a hang-up. */
NET_TEST(a_stopping_server_is_no_hang_up)
{
    weft_http_serve_opts o = {.drain_ns = 1};
    struct stage *t = stage_new(&o);
    ask(t, GET("/wait"));
    CHECK_EQ(server_stop(&t->server), -ETIMEDOUT);
    CHECK_EQ(t->rc, -ECANCELED);
    CHECK_EQ(t->cause, -ECANCELED);
    peer_end(&t->p);
    free(t);
}

/* ---- nothing but the client can wake anybody: no deadlock ---- */

static int pipe_fd[2];

/* The client is a process of its own: it asks, and hangs up when its handler says that it runs. */
static pid_t client_fork(int port_pipe)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0)
        return pid;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char byte;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (read(port_pipe, &in.sin_port, 2) != 2 ||
        connect(fd, (struct sockaddr *)&in, sizeof in) < 0 ||
        write(fd, GET("/wait"), strlen(GET("/wait"))) < 0 || read(port_pipe, &byte, 1) != 1)
        _exit(1);
    close(fd);
    _exit(0);
}

static int lonely_server(void *arg)
{
    weft_http_serve_opts o = {.max_connections = 1};
    struct stage *t = stage_new(&o);
    (void)arg;
    uint16_t port = htons((uint16_t)atoi(strrchr(t->server.address, ':') + 1));
    CHECK_EQ(write(pipe_fd[1], &port, 2), 2);
    CHECK_EQ(weft_sema_acquire(&t->entered, 1), 0);
    CHECK_EQ(write(pipe_fd[1], "x", 1), 1);
    told_of_hang_up(t); /* accepting waits for room, the handler and this for the client */
    stage_free(t);
    return 0;
}

TEST(a_watched_client_is_no_deadlock)
{
    CHECK_EQ(pipe(pipe_fd), 0);
    pid_t pid = client_fork(pipe_fd[0]);
    rig_run(2, lonely_server);
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
}
