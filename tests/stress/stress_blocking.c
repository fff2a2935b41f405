// SPDX-License-Identifier: Apache-2.0
/*
 * stress_blocking.c - calls that block the thread and say nothing to the runtime: the other fibers
 * go on, and the call ends as if nobody else were there.
 *
 * Nothing is timed. One fiber makes the call; the other, once it has made its progress, ends it: by
 * the byte, the unlock, the signal that it waits for. Calls that nobody can keep waiting by
 * themselves (fsync, the opens inside getaddrinfo) are held in the kernel by a seccomp filter whose
 * supervisor, a plain thread, lets go when the same sign is given; a page fault is held by a
 * userfaultfd. So a runtime that let a blocked call stop the others would hang here.
 *
 *      caller       entered = 1 | call ............................ returns | returned = 1
 *      other fiber       waits  | PROGRESS yields, returned still 0 | release
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weft/weft.h>

#include "base/futex.h"
#include "test.h"

enum { PROGRESS = 1000 };

struct blocking {
    void (*call)(struct blocking *b); /* on a fiber: blocks */
    void (*release)(struct blocking *b);
    _Atomic uint32_t entered, returned;
    int fd[2];
    pthread_t thread;
    _Atomic uint32_t word[2]; /* for plain threads */
    char *memory;
};

static void thread_wait(_Atomic uint32_t *word)
{
    while (at_load(word) == 0)
        weft__futex_wait(word, 0, -1);
}

static void thread_wake(_Atomic uint32_t *word)
{
    at_store(word, 1);
    weft__futex_wake(word, 1);
}

static int caller(void *arg)
{
    struct blocking *b = arg;
    b->thread = pthread_self();
    at_store(&b->entered, 1);
    b->call(b);
    at_store(&b->returned, 1);
    return 0;
}

static int other(void *arg)
{
    struct blocking *b = arg;
    while (!at_load(&b->entered))
        weft_yield();
    for (int i = 0; i < PROGRESS; i++) {
        weft_yield();
        if (i % 100 == 0)
            CHECK_EQ(weft_sleep(1000), 0);
    }
    CHECK_EQ(at_load(&b->returned), 0);
    b->release(b);
    return 0;
}

static int app(void *arg)
{
    WEFT_SCOPE(scope);
    CHECK_EQ(weft_go(&scope, other, arg), 0);
    CHECK_EQ(weft_go(&scope, caller, arg), 0);
    int rc = weft_wait(&scope);
    CHECK_EQ(at_load(&((struct blocking *)arg)->returned), 1);
    return rc;
}

static void run(struct blocking *b)
{
    int result = -1;
    weft_run_opts o = {.size = sizeof o, .workers = 1};
    CHECK_EQ(weft_run(app, b, &o, &result), 0);
    CHECK_EQ(result, 0);
}

/* ---- read on a pipe ---- */

static void call_read(struct blocking *b)
{
    char c;
    CHECK_EQ(read(b->fd[0], &c, 1), 1);
    CHECK_EQ(c, 'x');
}
static void release_read(struct blocking *b)
{
    CHECK_EQ(write(b->fd[1], "x", 1), 1);
}
TEST(read_of_a_pipe)
{
    struct blocking b = {.call = call_read, .release = release_read};
    CHECK_EQ(pipe(b.fd), 0);
    run(&b);
}

/* ---- sleep: ended by a signal of the program's own ---- */

static _Atomic uint32_t signals;
static void on_signal(int sig)
{
    (void)sig;
    at_add(&signals, 1);
}
static void call_sleep(struct blocking *b)
{
    (void)b;
    CHECK(sleep(3600) > 0); /* what is left of the hour */
    CHECK(at_load(&signals) > 0);
}
static void release_sleep(struct blocking *b)
{
    while (!at_load(&b->returned)) { /* one that comes before the sleep ends nothing */
        pthread_kill(b->thread, SIGUSR1);
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    }
}
TEST(sleep_of_an_hour)
{
    struct blocking b = {.call = call_sleep, .release = release_sleep};
    struct sigaction sa = {.sa_handler = on_signal};
    CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
    run(&b);
}

/* ---- flock ---- */

static void call_flock(struct blocking *b)
{
    CHECK_EQ(flock(b->fd[0], LOCK_EX), 0);
}
static void release_flock(struct blocking *b)
{
    CHECK_EQ(flock(b->fd[1], LOCK_UN), 0);
}
TEST(flock_of_a_locked_file)
{
    struct blocking b = {.call = call_flock, .release = release_flock};
    char path[] = "/tmp/weft-flock-XXXXXX";
    CHECK((b.fd[0] = mkstemp(path)) >= 0);
    CHECK((b.fd[1] = open(path, O_RDWR | O_CLOEXEC)) >= 0);
    unlink(path);
    CHECK_EQ(flock(b.fd[1], LOCK_EX), 0);
    run(&b);
}

/* ---- a mutex that a plain thread holds ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *holder(void *arg)
{
    struct blocking *b = arg;
    CHECK_EQ(pthread_mutex_lock(&mutex), 0);
    thread_wake(&b->word[0]);
    thread_wait(&b->word[1]);
    CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
    return NULL;
}
static void call_mutex(struct blocking *b)
{
    (void)b;
    CHECK_EQ(pthread_mutex_lock(&mutex), 0);
    CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
}
static void release_word(struct blocking *b)
{
    thread_wake(&b->word[1]);
}
TEST(mutex_of_a_plain_thread)
{
    struct blocking b = {.call = call_mutex, .release = release_word};
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, holder, &b), 0);
    thread_wait(&b.word[0]);
    run(&b);
    CHECK_EQ(pthread_join(t, NULL), 0);
}

/* ---- calls held in the kernel ---- */

static int held_syscall;
static int listener = -1;

/* Answers the listener: each call goes on, the first when the sign is given. */
static void *supervisor(void *arg)
{
    struct blocking *b = arg;
    for (;;) {
        struct seccomp_notif req = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req) < 0) {
            if (errno == EINTR || errno == ENOENT)
                continue;
            return NULL;
        }
        thread_wake(&b->word[0]);
        thread_wait(&b->word[1]);
        struct seccomp_notif_resp resp = {.id = req.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
    }
}

/* For this thread, from here on. */
static void hold_calls(struct blocking *b)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)held_syscall, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    pthread_t t;
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    listener = (int)syscall(
        SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0)
        test_skip("the kernel has no seccomp listeners");
    CHECK_EQ(pthread_create(&t, NULL, supervisor, b), 0);
    pthread_detach(t);
}

static void release_held(struct blocking *b)
{
    while (!at_load(&b->word[0]))
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    CHECK_EQ(at_load(&b->returned), 0);
    thread_wake(&b->word[1]);
}

static void call_fsync(struct blocking *b)
{
    hold_calls(b);
    CHECK_EQ(fsync(b->fd[0]), 0);
}
TEST(fsync_of_a_slow_disk)
{
    struct blocking b = {.call = call_fsync, .release = release_held};
    char path[] = "/tmp/weft-fsync-XXXXXX";
    held_syscall = SYS_fsync;
    CHECK((b.fd[0] = mkstemp(path)) >= 0);
    unlink(path);
    CHECK_EQ(write(b.fd[0], "data", 4), 4);
    run(&b);
}

static void call_getaddrinfo(struct blocking *b)
{
    struct addrinfo *list = NULL, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    hold_calls(b);
    CHECK_EQ(getaddrinfo("localhost", "80", &hints, &list), 0);
    CHECK(list != NULL && list->ai_family == AF_INET);
    CHECK_EQ(ntohl(((struct sockaddr_in *)(void *)list->ai_addr)->sin_addr.s_addr) >> 24, 127);
    freeaddrinfo(list);
}
TEST(getaddrinfo_of_a_slow_resolver)
{
    struct blocking b = {.call = call_getaddrinfo, .release = release_held};
    held_syscall = SYS_openat;
    run(&b);
}

/* ---- a page that is not there yet ---- */

static void *pager(void *arg)
{
    struct blocking *b = arg;
    struct uffd_msg msg;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *fresh = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(fresh != MAP_FAILED);
    memset(fresh, 'p', page);
    CHECK_EQ(read(b->fd[0], &msg, sizeof msg), (ssize_t)sizeof msg);
    CHECK_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
    thread_wake(&b->word[0]);
    thread_wait(&b->word[1]);
    struct uffdio_copy copy = {
        .dst = msg.arg.pagefault.address & ~(page - 1), .src = (uintptr_t)fresh, .len = page};
    CHECK_EQ(ioctl(b->fd[0], UFFDIO_COPY, &copy), 0);
    return NULL;
}
static void call_touch(struct blocking *b)
{
    CHECK_EQ(*(volatile char *)b->memory, 'p');
}

/* backed: by a file (of memory), as a page of a slow file's mapping would be. */
static void fault_on(bool backed)
{
    struct blocking b = {.call = call_touch, .release = release_held};
    pthread_t t;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct uffdio_api api = {.api = UFFD_API};
    int file = backed ? memfd_create("slow", MFD_CLOEXEC) : -1;
    b.fd[0] = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    if (b.fd[0] < 0 || ioctl(b.fd[0], UFFDIO_API, &api) < 0)
        test_skip("no userfaultfd: %s", strerror(errno));
    if (backed)
        CHECK(file >= 0 && ftruncate(file, (off_t)page) == 0);
    b.memory = mmap(NULL, page, PROT_READ | PROT_WRITE,
        backed ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file, 0);
    CHECK(b.memory != MAP_FAILED);
    struct uffdio_register reg = {
        .range = {(uintptr_t)b.memory, page}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (ioctl(b.fd[0], UFFDIO_REGISTER, &reg) < 0)
        test_skip("no userfaultfd: %s", strerror(errno));
    CHECK_EQ(pthread_create(&t, NULL, pager, &b), 0);
    run(&b);
    CHECK_EQ(pthread_join(t, NULL), 0);
}
TEST(page_fault_of_a_slow_mapping)
{
    fault_on(false);
}
TEST(page_fault_of_a_slow_file_mapping)
{
    fault_on(true);
}
