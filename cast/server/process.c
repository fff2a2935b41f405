// SPDX-License-Identifier: Apache-2.0
/* process.c - the process from start to exit: workers, signals, reload, drain; see server.h. */
#include "log/cast_log.h"
#include "server/httppeer.h"
#include "server/peer.h"
#include "server/server.h"

#include <weft/debug.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include <weft/run.h>

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * WEFT_SEC + t.tv_nsec;
}

/* Every descriptor that the process may have: a connection is one. */
static void raise_fd_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

/* ---- messages to workers ---- */

static void worker_reload(weft_loop *loop, weft_loop_msg *msg)
{
    struct worker *w = WEFT_LOOP_OWNER(msg, struct worker, reload_msg);
    cast_config_unref(w->shard.cfg);
    w->shard.cfg = w->next_cfg;
    w->next_cfg = NULL;
    w->shard.fan.queue_max_bytes = shard_queue_max(w->shard.cfg);
    w->shard.fan.window_ns = w->shard.cfg->weftcast.send_window_ns;
    sem_post(&w->server->reloaded);
}

static void worker_drain(weft_loop *loop, weft_loop_msg *msg)
{
    struct worker *w = WEFT_LOOP_OWNER(msg, struct worker, drain_msg);
    if (w->index == 0) {
        listen_stop(w->server);
        node_metrics_stop(&w->server->node_metrics);
    }
    peers_drain(w);
}

static void metrics_swept(struct shard *s)
{
    peers_check_drained(worker_of(s));
}

/* ---- start ---- */

static void random_hex(char *text, size_t digits)
{
    unsigned char raw[64];
    if (getrandom(raw, digits / 2, 0) != (ssize_t)(digits / 2))
        abort(); /* since Linux 3.17 this cannot fail for so few bytes */
    for (size_t i = 0; i < digits / 2; i++)
        snprintf(text + 2 * i, 3, "%02x", raw[i]);
}

static void name_node(struct server *srv)
{
    char host[200] = "localhost";
    char id[33];
    random_hex(id, 32);
    snprintf(srv->uid, sizeof srv->uid, "%.8s-%.4s-4%.3s-a%.3s-%.12s", id, id + 8, id + 13, id + 16,
        id + 19);
    gethostname(host, sizeof host - 1);
    if (*srv->cfg->node.name)
        snprintf(srv->node_name, sizeof srv->node_name, "%s", srv->cfg->node.name);
    else
        snprintf(
            srv->node_name, sizeof srv->node_name, "%s_%d", host, (int)srv->cfg->http_server.port);
}

static void open_console(struct server *srv)
{
    const struct cast_config *cfg = srv->cfg;
    if (*cfg->admin.secret)
        snprintf(srv->admin_secret, sizeof srv->admin_secret, "%s", cfg->admin.secret);
    else
        random_hex(srv->admin_secret, 64);
    srv->admin_open = cfg->admin.insecure;
    logins_init(&srv->logins);
}

/* What one worker can come to hold at most: sockets are dealt out evenly, so twice the mean is out
 * of reach. Told to the loop, which picks its back end by it. */
static unsigned fds_a_worker(uint32_t workers)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur > UINT32_MAX / 2)
        return 0;
    uint64_t share = workers > 1 ? 2 * r.rlim_cur / workers : r.rlim_cur;
    return share > 64 ? (unsigned)share : 64;
}

static int worker_init(struct server *srv, uint32_t index)
{
    struct worker *w = &srv->workers[index];
    char name[24];
    snprintf(name, sizeof name, "shard-%u", index);
    weft_loop_opts opts = {
        .size = sizeof opts, .name = name, .data = w, .max_fds = fds_a_worker(srv->count)};
    weft_loop *loop;
    int rc = weft_loop_new(&opts, &loop);
    if (rc < 0)
        return rc;
    w->server = srv;
    w->index = index;
    w->drain_msg.fn = worker_drain;
    w->reload_msg.fn = worker_reload;
    w->buf = malloc(WORKER_BUF_BYTES);
    struct shard_init with = {.loop = loop,
        .all = srv->shards,
        .fans = srv->fans,
        .count = srv->count,
        .index = index,
        .cfg = srv->cfg,
        .owner = w,
        .close_transport = wspeer_close,
        .resume_transport = wspeer_resume,
        .sink_failed = peer_sink_failed};
    shard_init(&w->shard, &with);
    srv->shards[index] = &w->shard;
    srv->fans[index] = &w->shard.fan;
    return w->buf ? 0 : -ENOMEM;
}

static int server_init(struct server *srv, const struct cast_config *cfg)
{
    int64_t shards = cfg->weftcast.shards;
    srv->cfg = cfg;
    srv->count = shards > 0 ? (uint32_t)shards : weft_cpus();
    srv->started_ns = now_ns();
    srv->workers = calloc(srv->count, sizeof *srv->workers);
    srv->shards = calloc(srv->count, sizeof *srv->shards);
    srv->fans = calloc(srv->count, sizeof *srv->fans);
    srv->drained_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sem_init(&srv->reloaded, 0, 0);
    if (!srv->workers || !srv->shards || !srv->fans || srv->drained_fd < 0)
        return -ENOMEM;
    name_node(srv);
    for (uint32_t i = 0; i < srv->count; i++) {
        int rc = worker_init(srv, i);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int workers_start(struct server *srv)
{
    for (uint32_t i = 0; i < srv->count; i++) {
        int rc = weft_loop_start(srv->workers[i].shard.loop);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- signals ---- */

static void reload(struct server *srv)
{
    struct cast_config *next;
    struct cast_config_error err;
    cast_log(CAST_LOG_INFO, "reloading configuration");
    if (cast_config_reload(srv->workers[0].shard.cfg, &next, &err) < 0) {
        cast_log(CAST_LOG_ERROR,
            err.stage == CAST_CONFIG_GETTING ? "error reading config" : "error validating config",
            LOG_STR("error", err.text));
        return;
    }
    int rc = cast_log_open(next->log.level, next->log.file);
    if (rc < 0)
        cast_log(CAST_LOG_ERROR, "error opening log file", LOG_STR("error", strerror(-rc)));
    cast_config_log_warnings(next);
    for (uint32_t i = 0; i < srv->count; i++) {
        srv->workers[i].next_cfg = cast_config_ref(next);
        weft_loop_post(srv->workers[i].shard.loop, &srv->workers[i].reload_msg);
    }
    for (uint32_t i = 0; i < srv->count; i++)
        while (sem_wait(&srv->reloaded) < 0)
            ;
    cast_config_unref(next);
    cast_log(CAST_LOG_INFO, "configuration successfully reloaded");
}

static int next_signal(int signals)
{
    struct signalfd_siginfo info;
    ssize_t n;
    while ((n = read(signals, &info, sizeof info)) < 0 && errno == EINTR)
        ;
    return n == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

/* Waits until all workers have drained; false when time is up or a second signal has come. */
static bool wait_drained(struct server *srv, int signals)
{
    int64_t until_ns = now_ns() + srv->workers[0].shard.cfg->shutdown.timeout_ns;
    struct pollfd fds[2] = {{srv->drained_fd, POLLIN, 0}, {signals, POLLIN, 0}};
    while (true) {
        int64_t left_ns = until_ns - now_ns();
        if (left_ns <= 0) {
            cast_log(CAST_LOG_FATAL, "shutdown timeout reached");
            return false;
        }
        if (poll(fds, 2, (int)((left_ns + WEFT_MS - 1) / WEFT_MS)) < 0 && errno != EINTR)
            return false;
        if (fds[0].revents & POLLIN)
            return true;
        if (fds[1].revents & POLLIN) {
            int sig = next_signal(signals);
            if (sig == SIGTERM || sig == SIGINT)
                return false;
        }
    }
}

static bool drain(struct server *srv, int signals)
{
    cast_log(CAST_LOG_INFO, "shutting down ...");
    atomic_store(&srv->draining_left, srv->count);
    for (uint32_t i = 0; i < srv->count; i++)
        weft_loop_post(srv->workers[i].shard.loop, &srv->workers[i].drain_msg);
    return wait_drained(srv, signals);
}

/* Serves until told to end; returns the exit status. */
static int attend(struct server *srv, int signals)
{
    while (true) {
        int sig = next_signal(signals);
        if (sig == SIGHUP) {
            reload(srv);
        } else if (sig == SIGTERM || sig == SIGINT) {
            char text[64];
            snprintf(text, sizeof text, "signal received: %s",
                sig == SIGTERM ? "terminated" : "interrupt");
            cast_log(CAST_LOG_INFO, text);
            return drain(srv, signals) ? 0 : 1;
        }
    }
}

/* ---- all of it ---- */

/* After a drain: no sockets are left, and what shards had to tell each other is said before a loop
 * stops. So all memory can be given back, which makes leaks show under a sanitizer. */
static void server_end(struct server *srv)
{
    debug_end();
    for (uint32_t i = 0; i < srv->count; i++)
        weft_loop_stop(srv->workers[i].shard.loop);
    for (uint32_t i = 0; i < srv->count; i++)
        weft_loop_join(srv->workers[i].shard.loop);
    for (uint32_t i = 0; i < srv->count; i++) {
        struct worker *w = &srv->workers[i];
        weft_loop *loop = w->shard.loop;
        shard_fini(&w->shard);
        weft_loop_free(loop);
        free(w->buf);
    }
    logins_fini(&srv->logins);
    node_metrics_fini(&srv->node_metrics);
    sem_destroy(&srv->reloaded);
    close(srv->drained_fd);
    free(srv->workers);
    free(srv->shards);
    free(srv->fans);
}

static int fatal(const char *message, int rc)
{
    cast_log(CAST_LOG_FATAL, message, LOG_STR("error", strerror(-rc)));
    return 1;
}

int cast_serve(const struct cast_config *cfg)
{
    static struct server srv; /* outlives the return: see the end */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (signals < 0)
        return fatal("error preparing signals", -errno);
    signal(SIGPIPE, SIG_IGN); /* a log that nobody reads any more must not end the server */
    (void)weft_debug_signal(WEFT_DEBUG_EXIT); /* -EBUSY: whoever started us wants it otherwise */
    raise_fd_limit();
    int rc = server_init(&srv, cfg);
    if (rc < 0)
        return fatal("error preparing event loops", rc);
    open_console(&srv);
    node_metrics_start(&srv.node_metrics, srv.shards[0], metrics_swept);
    if (listen_start(&srv) < 0)
        return 1;
    rc = workers_start(&srv);
    if (rc < 0)
        return fatal("error starting event loops", rc);
    int status = attend(&srv, signals);
    if (status == 0)
        server_end(&srv); /* else threads are still at work: exit takes them */
    close(signals);
    return status;
}
