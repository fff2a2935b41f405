// SPDX-License-Identifier: Apache-2.0
/* test_main.c - runs the TEST() cases of a program, one child process each, and prints TAP (see
 * test.h). */
#include "test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SKIP_STATUS = 77 };

static struct test_case *first, **last = &first;
static uint64_t seed;

void test_register(struct test_case *c)
{
    *last = c;
    last = &c->next;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    fflush(stdout);
    fprintf(stderr, "# %s:%d: ", file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    fflush(stderr);
    _exit(1);
}

void test_skip(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    printf("#SKIP ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    fflush(stdout);
    _exit(SKIP_STATUS);
}

uint64_t test_seed(void)
{
    return seed;
}

int test_stress_seconds(void)
{
    const char *s = getenv("WEFT_STRESS_SECONDS");
    int seconds = s ? atoi(s) : 1;
    return seconds > 0 ? seconds : 1;
}

void test_expect_death(const char *file, int line, void (*fn)(void), const char *needle)
{
    int p[2], status;
    char text[65536];
    size_t len = 0;
    ssize_t n;
    if (pipe(p) < 0)
        test_fail(file, line, "pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(p[1], 2);
        close(p[0]);
        close(p[1]);
        fn();
        _exit(0);
    }
    close(p[1]);
    while (len < sizeof text - 1 && (n = read(p[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(p[0]);
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        test_fail(file, line, "expected death with \"%s\", but it returned", needle);
    if (!strstr(text, needle))
        test_fail(file, line, "expected \"%s\" on standard error, got:\n%s", needle, text);
}

/* The child's output goes straight through, except the skip reason, which the parent needs: so
 * stdout is a pipe. */
static int run_case(struct test_case *c, int timeout_s, char *reason, size_t reason_bytes)
{
    int p[2], status = 0;
    char line[4096];
    size_t len = 0;
    reason[0] = '\0';
    if (pipe(p) < 0)
        return -1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* no case outlives its program */
        dup2(p[1], 1);
        close(p[0]);
        close(p[1]);
        c->fn();
        fflush(NULL);
        if (test_ended)
            test_ended();
        _exit(0);
    }
    close(p[1]);
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    bool timed_out = false;
    for (;;) {
        clock_gettime(CLOCK_MONOTONIC, &t1);
        int left = timeout_s * 1000 - (int)((t1.tv_sec - t0.tv_sec) * 1000);
        struct pollfd pf = {.fd = p[0], .events = POLLIN};
        if (left <= 0 || poll(&pf, 1, left) == 0) {
            timed_out = true;
            kill(-pid, SIGQUIT);
            kill(pid, SIGQUIT);
            poll(NULL, 0, 1000);
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            break;
        }
        ssize_t n = read(p[0], line + len, sizeof line - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        line[len] = '\0';
        char *nl, *start = line;
        while ((nl = strchr(start, '\n')) || (len == sizeof line - 1 && (nl = line + len - 1))) {
            *nl = '\0';
            if (strncmp(start, "#SKIP ", 6) == 0)
                snprintf(reason, reason_bytes, "%s", start + 6);
            else
                printf("# %s\n", start);
            start = nl + 1;
            if (start >= line + len)
                break;
        }
        len = (size_t)(line + len - start);
        memmove(line, start, len);
    }
    close(p[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (timed_out)
        printf("# timed out after %d s\n", timeout_s);
    else if (WIFSIGNALED(status))
        printf("# killed by signal %d\n", WTERMSIG(status));
    return timed_out ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc < 2;
}

/* nohup, and a shell that starts a job in the background, leave these ignored: a case that asks
 * what the library does with them begins as from a terminal. */
static void signals_as_from_a_terminal(void)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], SIG_DFL);
}

int main(int argc, char **argv)
{
    int count = 0, index = 0, failed = 0;
    const char *t = getenv("WEFT_TEST_TIMEOUT"), *s = getenv("WEFT_SEED");
    int timeout_s = t ? atoi(t) : 60 + 3 * test_stress_seconds();
    signals_as_from_a_terminal();
    if (s)
        seed = strtoull(s, NULL, 0);
    else if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = (uint64_t)getpid();
    for (struct test_case *c = first; c; c = c->next) {
        if (argc > 1 && strcmp(argv[1], "--list") == 0)
            printf("%s\n", c->name);
        count += wanted(c->name, argc, argv);
    }
    if (argc > 1 && strcmp(argv[1], "--list") == 0)
        return 0;
    printf("TAP version 13\n1..%d\n", count);
    for (struct test_case *c = first; c; c = c->next) {
        char reason[1024];
        if (!wanted(c->name, argc, argv))
            continue;
        index++;
        int rc = run_case(c, timeout_s, reason, sizeof reason);
        if (rc == 0) {
            printf("ok %d - %s\n", index, c->name);
        } else if (rc == SKIP_STATUS) {
            printf("ok %d - %s # SKIP %s\n", index, c->name, reason);
        } else {
            failed++;
            printf("not ok %d - %s\n# seed: WEFT_SEED=%llu\n", index, c->name,
                (unsigned long long)seed);
        }
        fflush(stdout);
    }
    return failed ? 1 : 0;
}
