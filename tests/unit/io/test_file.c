// SPDX-License-Identifier: Apache-2.0
/* test_file.c - files from fibers, through the io_uring thread and through the pool: same
 * results. */
#include <weft/fiber.h>
#include <weft/file.h>
#include <weft/net.h>
#include <weft/run.h>
#include <weft/scope.h>
#include <weft/sugar.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "test.h"

static char dir[64];

static int writer(void *p)
{
    char path[128], buf[8192], back[8192];
    int n = *(int *)p;
    snprintf(path, sizeof path, "%s/f%d", dir, n);
    memset(buf, 'a' + n % 26, sizeof buf);
    int fd = weft_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK_MSG(fd >= 0, "open: %d", fd);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(weft_pwrite(fd, buf, sizeof buf, i * 8192), 8192);
    CHECK_EQ(weft_fsync(fd), 0);
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(weft_pread(fd, back, sizeof back, i * 8192), 8192);
        CHECK(memcmp(buf, back, sizeof buf) == 0);
    }
    CHECK_EQ(weft_read_full(fd, back, 8192), 8192); /* at the file's own position */
    CHECK_EQ(weft_pread(fd, back, 10, 8 * 8192), 0);
    CHECK_EQ(weft_close(fd), 0);
    struct stat st;
    CHECK_EQ(weft_stat(path, &st), 0);
    CHECK_EQ(st.st_size, 8 * 8192);
    CHECK(S_ISREG(st.st_mode));
    char other[140];
    snprintf(other, sizeof other, "%s.x", path);
    CHECK_EQ(weft_rename(path, other), 0);
    CHECK_EQ(weft_stat(path, &st), -ENOENT);
    return weft_unlink(other);
}

static int files_app(void *arg)
{
    const char *want = arg;
    CHECK_STR(weft_file_backend(), want);
    strcpy(dir, "/tmp/weft-file-XXXXXX");
    CHECK(mkdtemp(dir));
    WEFT_SCOPE(s);
    for (int i = 0; i < 40; i++)
        CHECK_EQ(weft_go_copy(&s, writer, i), 0);
    CHECK_EQ(weft_wait(&s), 0);
    char sub[80];
    snprintf(sub, sizeof sub, "%s/d", dir);
    CHECK_EQ(weft_mkdir(sub, 0700), 0);
    CHECK_EQ(weft_mkdir(sub, 0700), -EEXIST);
    CHECK_EQ(weft_open("/nonexistent/x", O_RDONLY, 0), -ENOENT);
    CHECK_EQ(rmdir(sub), 0);
    CHECK_EQ(rmdir(dir), 0);
    return 0;
}

static int run(const char *backend, unsigned workers)
{
    int result = -1;
    weft_run_opts o = {.size = sizeof o, .workers = workers};
    CHECK_EQ(weft_run(files_app, (void *)(uintptr_t)backend, &o, &result), 0);
    return result;
}

TEST(files_through_the_pool)
{
    setenv("WEFT_FILE", "pool", 1);
    CHECK_EQ(run("pool", 2), 0);
}

TEST(files_through_io_uring)
{
    if (strcmp(weft_file_backend(), "io_uring") != 0)
        test_skip("the kernel has no io_uring, or forbids it");
    CHECK_EQ(run("io_uring", 1), 0);
    CHECK_EQ(run("io_uring", 2), 0);
}

static int cancelled_app(void *arg)
{
    char c;
    (void)arg;
    int fd = weft_open("/proc/self/exe", O_RDONLY, 0);
    CHECK(fd >= 0);
    {
        WEFT_TIMEOUT(t, 0);
        CHECK_EQ(weft_pread(fd, &c, 1, 0), -ETIMEDOUT);
    }
    CHECK_EQ(weft_pread(fd, &c, 1, 0), 1);
    return weft_close(fd);
}

TEST(an_ended_context_refuses)
{
    int result = -1;
    CHECK_EQ(weft_run(cancelled_app, NULL, NULL, &result), 0);
    CHECK_EQ(result, 0);
}

struct fifo {
    char path[80];
};

static int reads_fifo(void *arg)
{
    const struct fifo *f = arg;
    char text[8];
    int fd = weft_open(f->path, O_RDONLY, 0);
    CHECK_MSG(fd >= 0, "open to read: %d", fd);
    CHECK_EQ(weft_read(fd, text, sizeof text), 4);
    CHECK(memcmp(text, "text", 4) == 0);
    CHECK_EQ(weft_read(fd, text, sizeof text), 0);
    return weft_close(fd);
}

static int writes_fifo(void *arg)
{
    const struct fifo *f = arg;
    int fd = weft_open(f->path, O_WRONLY, 0);
    CHECK_MSG(fd >= 0, "open to write: %d", fd);
    CHECK_EQ(weft_write(fd, "text", 4), 4);
    return weft_close(fd);
}

/* As long as nobody reads, the open waits in the kernel until its context ends: while the request
 * is on its way there, or when it has begun. */
static int fifo_app(void *arg)
{
    struct fifo f;
    (void)arg;
    strcpy(dir, "/tmp/weft-file-XXXXXX");
    CHECK(mkdtemp(dir));
    snprintf(f.path, sizeof f.path, "%s/fifo", dir);
    CHECK_EQ(mkfifo(f.path, 0600), 0);
    for (int i = 0; i < 60; i++) {
        WEFT_TIMEOUT(t, i * i * 5 * WEFT_US);
        CHECK_EQ(weft_open(f.path, O_WRONLY, 0), -ETIMEDOUT);
    }
    CHECK_EQ(weft_open(f.path, O_WRONLY | O_NONBLOCK, 0), -ENXIO);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, writes_fifo, &f), 0);
    weft_yield();
    CHECK_EQ(weft_go(&s, reads_fifo, &f), 0);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(unlink(f.path), 0);
    return rmdir(dir);
}

TEST(an_open_that_waits_ends_with_its_context)
{
    int result = -1;
    if (strcmp(weft_file_backend(), "io_uring") != 0)
        test_skip("a thread of the pool is not taken out of a system call");
    CHECK_EQ(weft_run(fifo_app, NULL, NULL, &result), 0);
    CHECK_EQ(result, 0);
}
