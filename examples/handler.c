// SPDX-License-Identifier: Apache-2.0
/*
 * handler.c - a time limit over everything that a handler waits for, and a shield for what must
 * still be said afterwards. The upstream here accepts and never answers.
 */
#include <errno.h>
#include <stdio.h>
#include <weft/weft.h>

struct req {
    const char *upstream;
    int client; // where the answer goes
};

static int ask_upstream(struct req *r)
{
    char buf[64];
    WEFT_TIMEOUT(t, 50 * WEFT_MS); // the rest of the block runs under a context with this limit
    int fd = weft_dial("tcp", r->upstream);
    if (fd < 0)
        return fd;
    ssize_t n = weft_read(fd, buf, sizeof buf); // no parameter to thread: it honours the context
    weft_close(fd);
    return n < 0 ? (int)n : 0;
}

static int handler(void *p)
{
    struct req *r = p;
    int rc = ask_upstream(r);
    if (rc == -ETIMEDOUT) {
        WEFT_SHIELD(x); // the answer goes out even if our own context has ended meanwhile
        weft_write_all(r->client, "504\n", 4);
    }
    weft_close(r->client);
    return rc == -ETIMEDOUT ? 0 : rc;
}

static int app(void *arg)
{
    char upstream[64], front[64], answer[8] = "";
    (void)arg;
    int silent = weft_listen("tcp", "127.0.0.1:0"), ln = weft_listen("tcp", "127.0.0.1:0");
    if (silent < 0 || ln < 0)
        return silent < 0 ? silent : ln;
    weft_local_addr(silent, upstream, sizeof upstream);
    weft_local_addr(ln, front, sizeof front);
    int me = weft_dial("tcp", front), client = weft_accept(ln);
    if (me < 0 || client < 0)
        return me < 0 ? me : client;
    WEFT_SCOPE(s);
    weft_go_copy(&s, handler, (struct req){.upstream = upstream, .client = client});
    ssize_t n = weft_read_full(me, answer, 4);
    if (n == 4)
        printf("%s", answer);
    int rc = weft_wait(&s);
    weft_close(me);
    weft_close(ln);
    weft_close(silent);
    return rc;
}

int main(void)
{
    return weft_main(app, NULL);
}
