// SPDX-License-Identifier: Apache-2.0
/*
 * stress_hostile.c - fibers that never give way, stopped in the middle of other people's code:
 * malloc, stdio, qsort's callbacks, memcpy of much memory, OpenSSL, a C++ exception on its way.
 *
 * Each fiber does rounds of its kind of work on data of its own, and checks it, for three slices of
 * processor time and more without one call of weft; there are more of them than workers. So they
 * are stopped, in whatever code and with whatever lock they are. (Or, on a busy machine, where they
 * get too little of a processor to look like hogs, they lose their worker and run on beside it.
 * Then they give way, so that they are under the scheduler again.) Held: no deadlock (the rounds of
 * every kind go on), no corruption (every round's data is right).
 *
 * A run goes on until every fiber has gone through a round and MANY were stopped: 10,000 in a run
 * of a minute or more, fewer in a shorter one, by its length. It says how many. They come at about
 * 150 a second from two idle processors; on a machine that is so busy that three times the time and
 * half a minute are not enough, a long run is skipped and says what it has seen.
 */
#include <openssl/evp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weft/weft.h>

#include "base/futex.h"
#include "base/rand.h"
#include "test.h"
#include "throws.h"

enum { WORKERS = 2, EACH = 2, MANY = 10000, LONG_S = 60 };

struct party {
    struct weft__rand rand;
    unsigned kind, index;
    uint64_t rounds;
};

static int64_t began_ns;
static _Atomic int over;

/* ---- malloc ---- */

static void round_malloc(struct party *p)
{
    enum { BLOCKS = 64 };
    unsigned char *block[BLOCKS];
    size_t bytes[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        bytes[i] = 1 + weft__rand_below(&p->rand, i % 16 ? 2000 : 300000);
        block[i] = malloc(bytes[i]);
        CHECK(block[i] != NULL);
        memset(block[i], i, bytes[i]);
    }
    for (int i = 0; i < BLOCKS; i++) {
        int k = i % 3 ? i : BLOCKS - 1 - i;
        if (!block[k])
            continue;
        block[k] = realloc(block[k], bytes[k] + 100);
        CHECK(block[k] && block[k][0] == k && block[k][bytes[k] - 1] == k);
        free(block[k]);
        block[k] = NULL;
    }
    for (int i = 0; i < BLOCKS; i++)
        free(block[i]);
}

/* ---- stdio: one stream for all, whose other end checks each line ---- */

static FILE *stream;
static char rest[256]; /* under the stream's lock */
static size_t rest_bytes;

static void check_line(const char *line)
{
    unsigned who, n, sum;
    CHECK_MSG(
        sscanf(line, "fiber %u writes %u: %u", &who, &n, &sum) == 3 && sum == who * 31 + n * 7,
        "a torn line: %s", line);
}

static ssize_t other_end(void *cookie, const char *text, size_t bytes)
{
    (void)cookie;
    for (size_t i = 0; i < bytes; i++) {
        CHECK(rest_bytes < sizeof rest);
        rest[rest_bytes++] = text[i];
        if (text[i] != '\n')
            continue;
        rest[rest_bytes - 1] = '\0';
        check_line(rest);
        rest_bytes = 0;
    }
    return (ssize_t)bytes;
}

static void round_stdio(struct party *p)
{
    for (unsigned i = 0; i < 200; i++) {
        unsigned n = weft__rand_below(&p->rand, 1 << 20);
        char own[80];
        CHECK(fprintf(stream, "fiber %u writes %u: %u\n", p->index, n, p->index * 31 + n * 7) > 0);
        snprintf(own, sizeof own, "%u %.3f %s", n, (double)n / 8, "words");
        CHECK_EQ(strtoul(own, NULL, 10), n);
    }
}

/* ---- qsort ---- */

static int by_value(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void round_qsort(struct party *p)
{
    enum { N = 20000 };
    uint32_t *v = malloc(N * sizeof *v);
    uint64_t sum = 0;
    CHECK(v != NULL);
    for (int i = 0; i < N; i++)
        sum += v[i] = weft__rand_below(&p->rand, UINT32_MAX);
    qsort(v, N, sizeof *v, by_value);
    for (int i = 0; i < N; i++) {
        CHECK(i == 0 || v[i - 1] <= v[i]);
        sum -= v[i];
    }
    CHECK(sum == 0);
    free(v);
}

/* ---- memcpy ---- */

static void round_memcpy(struct party *p)
{
    enum { WORDS = 2 << 20 };
    uint64_t *a = malloc(WORDS * sizeof *a), *b = malloc(WORDS * sizeof *b);
    uint64_t first = weft__rand_below(&p->rand, 1 << 30);
    CHECK(a && b);
    for (uint64_t i = 0; i < WORDS; i++)
        a[i] = first + i;
    for (int k = 0; k < 4; k++) {
        memset(b, 0, WORDS * sizeof *b);
        memcpy(b, a, WORDS * sizeof *b);
        CHECK(memcmp(a, b, WORDS * sizeof *b) == 0);
    }
    for (uint64_t i = 0; i < WORDS; i += 511)
        CHECK(b[i] == first + i);
    free(a);
    free(b);
}

/* One copy that takes many slices: a GiB in a long run. What is copied is the same piece again and
 * again, mapped side by side, so that it takes the memory of one piece. */
static void round_large_copy(struct party *p)
{
    enum { PIECE = 16 << 20, WORDS = PIECE / sizeof(uint64_t) };
    size_t pieces = test_stress_seconds() >= LONG_S && p->index % EACH == 0 ? 64 : 4;
    uint64_t first = weft__rand_below(&p->rand, 1 << 30);
    int fd = memfd_create("piece", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, PIECE) == 0);
    char *from = mmap(NULL, pieces * PIECE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *to =
        mmap(NULL, pieces * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(from != MAP_FAILED && to != MAP_FAILED);
    for (size_t i = 0; i < pieces; i++)
        CHECK(mmap(from + i * PIECE, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                  0) != MAP_FAILED);
    for (size_t i = 0; i < WORDS; i++)
        ((uint64_t *)(void *)from)[i] = first + i;
    memcpy(to, from, pieces * PIECE);
    for (size_t i = 0; i < pieces; i++)
        CHECK(memcmp(to + i * PIECE, from, PIECE) == 0);
    munmap(from, pieces * PIECE);
    munmap(to, pieces * PIECE);
    close(fd);
}

/* ---- OpenSSL ---- */

static void sha256(const unsigned char *data, size_t bytes, unsigned char ret[32])
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    unsigned n = 0;
    CHECK(c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1);
    for (size_t at = 0; at < bytes; at += 4096)
        CHECK(EVP_DigestUpdate(c, data + at, bytes - at < 4096 ? bytes - at : 4096) == 1);
    CHECK(EVP_DigestFinal_ex(c, ret, &n) == 1 && n == 32);
    EVP_MD_CTX_free(c);
}

static void aes(int encrypt, const unsigned char key[32], const unsigned char *from,
    unsigned char *to, int bytes)
{
    static const unsigned char iv[16] = {1, 2, 3};
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0;
    CHECK(c && EVP_CipherInit_ex(c, EVP_aes_256_ctr(), NULL, key, iv, encrypt) == 1);
    CHECK(EVP_CipherUpdate(c, to, &n, from, bytes) == 1 && n == bytes);
    EVP_CIPHER_CTX_free(c);
}

static void round_openssl(struct party *p)
{
    enum { BYTES = 256 << 10 };
    unsigned char *plain = malloc(BYTES), *secret = malloc(BYTES), key[32], before[32], after[32];
    CHECK(plain && secret);
    for (int i = 0; i < BYTES; i++)
        plain[i] = (unsigned char)weft__rand_below(&p->rand, 256);
    sha256(plain, BYTES, before);
    sha256(before, 32, key);
    aes(1, key, plain, secret, BYTES);
    CHECK(memcmp(plain, secret, BYTES) != 0);
    aes(0, key, secret, plain, BYTES);
    sha256(plain, BYTES, after);
    CHECK(memcmp(before, after, 32) == 0);
    free(plain);
    free(secret);
}

/* ---- C++ ---- */

static void round_throw(struct party *p)
{
    for (int i = 0; i < 50; i++)
        CHECK_EQ(throws_and_catches((int)weft__rand_below(&p->rand, 40), (int)p->index), 0);
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    void (*round)(struct party *p);
} kinds[] = {{"malloc", round_malloc}, {"stdio", round_stdio}, {"qsort", round_qsort},
    {"memcpy", round_memcpy}, {"large memcpy", round_large_copy}, {"openssl", round_openssl},
    {"throw", round_throw}};
enum { KINDS = sizeof kinds / sizeof *kinds };
static struct party parties[KINDS][EACH];
static _Atomic int have_rounds;

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * WEFT_SEC + t.tv_nsec;
}

static int hog(void *arg)
{
    struct party *p = arg;
    do {
        for (int64_t end = cpu_ns() + 30 * WEFT_MS; cpu_ns() < end;) {
            kinds[p->kind].round(p);
            if (p->rounds++ == 0)
                have_rounds++;
        }
        weft_yield();
    } while (!over);
    return 0;
}

static uint64_t wanted(void)
{
    unsigned seconds = (unsigned)test_stress_seconds();
    return seconds >= LONG_S ? MANY : MANY * seconds / LONG_S;
}

static bool done(void)
{
    weft_stats s = {.size = sizeof s};
    weft_stats_read(&s);
    int64_t time = test_stress_seconds() * WEFT_SEC;
    bool patient = weft__clock_ns() - began_ns < 3 * time + LONG_S * WEFT_SEC / 2;
    bool enough = s.preemptions >= wanted() || (!patient && s.preemptions + s.retakes > 0);
    return have_rounds == KINDS * EACH && enough;
}

static int app(void *arg)
{
    weft_stats s = {.size = sizeof s};
    WEFT_SCOPE(scope);
    began_ns = weft__clock_ns();
    for (unsigned k = 0; k < KINDS; k++)
        for (unsigned i = 0; i < EACH; i++)
            CHECK_EQ(weft_go(&scope, hog, &parties[k][i]), 0);
    while (!done())
        CHECK_EQ(weft_sleep(5 * WEFT_MS), 0); /* this one, too, must get its turn */
    over = 1;
    int rc = weft_wait(&scope);
    weft_stats_read(&s);
    *(weft_stats *)arg = s;
    return rc;
}

TEST(hogs_inside_foreign_code)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer keeps signals from busy code");
#endif
    weft_stats s = {.size = sizeof s};
    int result = -1;
    weft_run_opts o = {.size = sizeof o, .workers = WORKERS};
    cookie_io_functions_t io = {.write = other_end};
    stream = fopencookie(NULL, "w", io);
    CHECK(stream != NULL);
    unsetenv("WEFT_WORKERS"); /* too few for the fibers, always */
    for (unsigned k = 0; k < KINDS; k++)
        for (unsigned i = 0; i < EACH; i++) {
            struct party *p = &parties[k][i];
            p->kind = k;
            p->index = k * EACH + i;
            weft__rand_init(&p->rand, test_seed() + p->index);
        }
    CHECK_EQ(weft_run(app, &s, &o, &result), 0);
    CHECK_EQ(result, 0);
    fclose(stream);
    CHECK_EQ(rest_bytes, 0);
    for (unsigned k = 0; k < KINDS; k++)
        fprintf(stderr, "# %s: %llu rounds\n", kinds[k].name,
            (unsigned long long)(parties[k][0].rounds + parties[k][1].rounds));
    fprintf(stderr, "# %llu preemptions (of %llu wanted), %llu workers taken\n",
        (unsigned long long)s.preemptions, (unsigned long long)wanted(),
        (unsigned long long)s.retakes);
    CHECK(s.preemptions + s.retakes > 0);
    if (s.preemptions < wanted() && test_stress_seconds() >= LONG_S)
        test_skip("the machine is too busy: %llu preemptions", (unsigned long long)s.preemptions);
}

/* ---- two fibers in catch blocks that park, interleaved ---- */

struct pair {
    weft_chan *turn[2];
    int rounds;
};
static struct pair pair;

static void park_in_catch(void *arg)
{
    int who = (int)(intptr_t)arg, token = 0;
    CHECK_EQ(weft_chan_send(pair.turn[1 - who], &who), 0);
    CHECK_EQ(weft_chan_recv(pair.turn[who], &token), 1);
    CHECK_EQ(token, 1 - who);
}

static int catcher(void *arg)
{
    int who = (int)(intptr_t)arg;
    for (int i = 0; i < pair.rounds; i++)
        CHECK_EQ(parks_while_caught(who, i, park_in_catch, arg), 0);
    return 0;
}

static int two_catchers(void *arg)
{
    (void)arg;
    WEFT_SCOPE(scope);
    pair.rounds = 500;
    for (int i = 0; i < 2; i++)
        CHECK_EQ(weft_chan_new(sizeof(int), 1, &pair.turn[i]), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(weft_go(&scope, catcher, (void *)(intptr_t)i), 0);
    int rc = weft_wait(&scope);
    for (int i = 0; i < 2; i++)
        weft_chan_free(pair.turn[i]);
    return rc;
}

TEST(two_fibers_parked_in_catch_blocks)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        weft_run_opts o = {.size = sizeof o, .workers = workers};
        int result = -1;
        CHECK_EQ(weft_run(two_catchers, NULL, &o, &result), 0);
        CHECK_EQ(result, 0);
    }
}
