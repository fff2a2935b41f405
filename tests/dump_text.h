// SPDX-License-Identifier: Apache-2.0
/*
 * dump_text.h - a dump of this process as a string, for tests that look at it, and for those that
 * wait until fibers stand where a case wants them.
 *
 *     dump_until("[IO read for ", 3);      three fibers wait for a descriptor
 *
 * One buffer serves all, so a text is there until the next one is asked for. From fibers (the wait
 * lets others run) and plain threads.
 */
#ifndef WEFT_TESTS_DUMP_TEXT_H
#define WEFT_TESTS_DUMP_TEXT_H
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <weft/debug.h>
#include <weft/fiber.h>

#include "test.h"

/* What can be read up to the end. */
static inline char *read_all(int fd)
{
    static char text[1 << 20];
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, text + len, sizeof text - 1 - len)) > 0 || (n < 0 && errno == EINTR))
        len += n > 0 ? (size_t)n : 0;
    text[len] = '\0';
    return text;
}

static inline char *dump_text(void)
{
    char path[] = "/tmp/weft-dump-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    weft_dump(fd);
    lseek(fd, 0, SEEK_SET);
    char *text = read_all(fd);
    close(fd);
    unlink(path);
    return text;
}

static inline int dump_count(const char *what)
{
    int n = 0;
    for (const char *at = dump_text(); (at = strstr(at, what)); at++)
        n++;
    return n;
}

/* Until a dump says it so many times. */
static inline void dump_until(const char *what, int times)
{
    while (dump_count(what) < times)
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
}

static inline void need(const char *text, const char *what)
{
    CHECK_MSG(strstr(text, what), "no \"%s\" in:\n%s", what, text);
}
#endif
