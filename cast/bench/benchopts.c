// SPDX-License-Identifier: Apache-2.0
/*
 * benchopts.c - the load generator's command line (benchopts.h).
 *
 * A value that cannot be meant (a rate of 0, a payload that cannot hold the sequence number) is
 * refused here with its name and bounds, so that the rest of the generator trusts its options.
 */
#include "bench/benchopts.h"
#include "bench/payload.h"
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: weftcast bench [fanout|connect|idle] [options]\n"
    "\n"
    "Loads a server that speaks Centrifugo's client protocol over WebSocket.\n"
    "  fanout   subscribe clients to one channel and publish to it at a fixed rate (default)\n"
    "  connect  open connections at a fixed rate, measure the time to the connect reply\n"
    "  idle     open connections and hold them\n"
    "\n"
    "  --url URL          ws://HOST:PORT/PATH (ws://127.0.0.1:8000/connection/websocket)\n"
    "  --channel NAME     channel (bench)\n"
    "  --clients N        connections (1000)\n"
    "  --rate R           messages, or connections, a second (fanout 100, connect 1000)\n"
    "  --payload BYTES    size of a message's data (128)\n"
    "  --duration S       measured seconds (10)\n"
    "  --warmup S         seconds before them (2)\n"
    "  --publish client|api   how to publish: over a client connection (default) or the HTTP API\n"
    "  --api-key KEY      key of the HTTP API\n"
    "  --api-path PATH    its publish endpoint (/api/publish)\n"
    "  --token JWT        token of every connection\n"
    "  --subscribe        idle, connect: subscribe to the channel as well\n"
    "  --threads N        receiving threads (1)\n"
    "  --sources N        source addresses 127.x.y.z to connect from (one for 10000 clients)\n"
    "  --window N         connections being opened at once, a thread (128)\n"
    "  --pid PID          the server's process: report its CPU time and memory\n"
    "  --json             print the result as JSON\n"
    "  --quiet            no progress\n"
    "  --fail-on-loss     exit 1 when a message was lost\n";

enum {
    OPT_URL = 1,
    OPT_CHANNEL,
    OPT_CLIENTS,
    OPT_RATE,
    OPT_PAYLOAD,
    OPT_DURATION,
    OPT_WARMUP,
    OPT_PUBLISH,
    OPT_API_KEY,
    OPT_API_PATH,
    OPT_TOKEN,
    OPT_SUBSCRIBE,
    OPT_THREADS,
    OPT_SOURCES,
    OPT_WINDOW,
    OPT_PID,
    OPT_JSON,
    OPT_QUIET,
    OPT_FAIL,
    OPT_HELP
};

static const struct option table[] = {{"url", 1, NULL, OPT_URL}, {"channel", 1, NULL, OPT_CHANNEL},
    {"clients", 1, NULL, OPT_CLIENTS}, {"subscribers", 1, NULL, OPT_CLIENTS},
    {"rate", 1, NULL, OPT_RATE}, {"payload", 1, NULL, OPT_PAYLOAD},
    {"duration", 1, NULL, OPT_DURATION}, {"warmup", 1, NULL, OPT_WARMUP},
    {"publish", 1, NULL, OPT_PUBLISH}, {"api-key", 1, NULL, OPT_API_KEY},
    {"api-path", 1, NULL, OPT_API_PATH}, {"token", 1, NULL, OPT_TOKEN},
    {"subscribe", 0, NULL, OPT_SUBSCRIBE}, {"threads", 1, NULL, OPT_THREADS},
    {"sources", 1, NULL, OPT_SOURCES}, {"window", 1, NULL, OPT_WINDOW}, {"pid", 1, NULL, OPT_PID},
    {"json", 0, NULL, OPT_JSON}, {"quiet", 0, NULL, OPT_QUIET}, {"fail-on-loss", 0, NULL, OPT_FAIL},
    {"help", 0, NULL, OPT_HELP}, {NULL, 0, NULL, 0}};

static int refuse(const char *what, const char *value, const char *want)
{
    fprintf(stderr, "weftcast bench: %s %s: %s\n", what, value, want);
    return -EINVAL;
}

static int read_count(const char *name, const char *text, unsigned min, unsigned max, unsigned *ret)
{
    char *end;
    char want[64];
    unsigned long v = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == 0 && v >= min && v <= max) {
        *ret = (unsigned)v;
        return 0;
    }
    snprintf(want, sizeof(want), "a whole number from %u to %u is needed", min, max);
    return refuse(name, text, want);
}

static int read_real(const char *name, const char *text, double min, double max, double *ret)
{
    char *end;
    char want[64];
    double v = strtod(text, &end);
    if (*text && *end == 0 && isfinite(v) && v >= min && v <= max) {
        *ret = v;
        return 0;
    }
    snprintf(want, sizeof(want), "a number from %g to %g is needed", min, max);
    return refuse(name, text, want);
}

/* ws://HOST:PORT/PATH; the port defaults to 80, the path to Centrifugo's. */
static int read_url(const char *url, struct bench_opts *o)
{
    const char *host = url + 5, *path;
    if (strncmp(url, "ws://", 5) != 0 || !*host)
        return refuse("--url", url, "ws://HOST:PORT/PATH is needed");
    path = strchr(host, '/');
    size_t host_bytes = path ? (size_t)(path - host) : strlen(host);
    bool has_port = memchr(host, ':', host_bytes) != NULL;
    if (!path)
        path = "/connection/websocket";
    if (host_bytes + 4 > sizeof(o->host) || strlen(path) >= sizeof(o->path))
        return refuse("--url", url, "it is too long");
    snprintf(o->host, sizeof(o->host), "%.*s%s", (int)host_bytes, host, has_port ? "" : ":80");
    snprintf(o->path, sizeof(o->path), "%s", path);
    return 0;
}

static int read_channel(const char *name, struct bench_opts *o)
{
    for (const char *p = name; *p; p++)
        if (*p <= ' ' || *p > '~' || strchr("\"\\<>&", *p))
            return refuse("--channel", name, "printable ASCII without quotes is needed");
    if (!*name || strlen(name) > 255)
        return refuse("--channel", name, "1 to 255 characters are needed");
    o->channel = name;
    return 0;
}

static int read_copy(const char *name, const char *text, char *buf, size_t room)
{
    if (*text != '/' || strlen(text) >= room)
        return refuse(name, text, "an absolute path is needed");
    snprintf(buf, room, "%s", text);
    return 0;
}

static int read_publish(const char *text, struct bench_opts *o)
{
    o->publish_api = strcmp(text, "api") == 0;
    if (!o->publish_api && strcmp(text, "client") != 0)
        return refuse("--publish", text, "client or api is needed");
    return 0;
}

static int read_flag(int opt, struct bench_opts *o)
{
    switch (opt) {
    case OPT_SUBSCRIBE:
        o->subscribe = true;
        return 0;
    case OPT_JSON:
        o->json = true;
        return 0;
    case OPT_QUIET:
        o->quiet = true;
        return 0;
    case OPT_FAIL:
        o->fail_on_loss = true;
        return 0;
    case OPT_HELP:
        fputs(help, stdout);
        return 1;
    default:
        return -EINVAL; // getopt_long has named the option
    }
}

static int read_option(int opt, const char *arg, struct bench_opts *o)
{
    unsigned pid = 0;
    int rc;
    switch (opt) {
    case OPT_URL:
        return read_url(arg, o);
    case OPT_CHANNEL:
        return read_channel(arg, o);
    case OPT_CLIENTS:
        return read_count("--clients", arg, 1, 10000000, &o->clients);
    case OPT_RATE:
        return read_real("--rate", arg, 0.01, 1e7, &o->rate);
    case OPT_PAYLOAD:
        return read_count("--payload", arg, PAYLOAD_MIN_BYTES, 60000, &o->payload_bytes);
    case OPT_DURATION:
        return read_real("--duration", arg, 0.1, 1e6, &o->duration_s);
    case OPT_WARMUP:
        return read_real("--warmup", arg, 0, 1e6, &o->warmup_s);
    case OPT_PUBLISH:
        return read_publish(arg, o);
    case OPT_API_KEY:
        o->api_key = arg;
        return 0;
    case OPT_API_PATH:
        return read_copy("--api-path", arg, o->api_path, sizeof(o->api_path));
    case OPT_TOKEN:
        o->token = arg;
        return 0;
    case OPT_THREADS:
        return read_count("--threads", arg, 1, 256, &o->threads);
    case OPT_SOURCES:
        return read_count("--sources", arg, 1, 65535, &o->sources);
    case OPT_WINDOW:
        return read_count("--window", arg, 1, 65535, &o->window);
    case OPT_PID:
        rc = read_count("--pid", arg, 1, 1u << 30, &pid);
        o->pid = (pid_t)pid;
        return rc;
    default:
        return read_flag(opt, o);
    }
}

static int read_mode(const char *word, struct bench_opts *o)
{
    static const char *const words[] = {"fanout", "connect", "idle", "fan-out"};
    for (unsigned i = 0; i < 4; i++) {
        if (strcmp(word, words[i]) == 0) {
            o->mode = i == 3 ? BENCH_FANOUT : (enum bench_mode)i;
            return 0;
        }
    }
    return refuse("mode", word, "fanout, connect or idle is needed");
}

int bench_opts_parse(struct bench_opts *ret, int argc, char **argv)
{
    int opt, rc = 0;
    *ret = (struct bench_opts){.channel = "bench",
        .host = "127.0.0.1:8000",
        .path = "/connection/websocket",
        .api_path = "/api/publish",
        .clients = 1000,
        .threads = 1,
        .window = 128,
        .payload_bytes = 128,
        .duration_s = 10,
        .warmup_s = 2};
    optind = 0; // start over: the caller may have used getopt
    while (rc == 0 && (opt = getopt_long(argc, argv, "", table, NULL)) != -1)
        rc = read_option(opt, optarg, ret);
    if (rc == 0 && optind < argc)
        rc = read_mode(argv[optind++], ret);
    if (rc == 0 && optind < argc)
        rc = refuse("argument", argv[optind], "one mode is enough");
    if (rc == 0 && ret->threads > ret->clients)
        ret->threads = ret->clients;
    if (ret->rate == 0)
        ret->rate = ret->mode == BENCH_CONNECT ? 1000 : 100;
    if (ret->sources == 0)
        ret->sources = (ret->clients + 9999) / 10000;
    if (ret->mode == BENCH_FANOUT)
        ret->subscribe = true;
    return rc;
}
