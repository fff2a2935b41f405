// SPDX-License-Identifier: Apache-2.0
/*
 * test_logins.c - how often a console's password may be got wrong; the time is the test's own.
 */
#include "server/logins.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "test.h"

static struct logins l;
static int64_t now_ns, next_ns;

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage a = {0};
    a.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    void *to = a.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)(void *)&a)->sin_addr
                                      : (void *)&((struct sockaddr_in6 *)(void *)&a)->sin6_addr;
    CHECK_EQ(inet_pton(a.ss_family, text, to), 1);
    return a;
}

static int64_t try_from(const char *text)
{
    struct sockaddr_storage a = address(text);
    return logins_try(&l, &a, now_ns, &next_ns);
}

static void passed_from(const char *text)
{
    struct sockaddr_storage a = address(text);
    logins_passed(&l, &a);
}

static void begin(void)
{
    logins_init(&l);
    now_ns = 1000 * WEFT_SEC;
}

static void all_tries(const char *text)
{
    for (int i = 0; i < LOGIN_TRIES; i++) {
        CHECK_EQ(try_from(text), 0);
        CHECK_EQ(next_ns, i + 1 < LOGIN_TRIES ? 0 : LOGIN_REFILL_NS);
    }
}

TEST(a_source_has_so_many_tries_and_gets_one_back_at_a_time)
{
    begin();
    all_tries("192.0.2.1");
    CHECK_EQ(try_from("192.0.2.1"), LOGIN_REFILL_NS);
    CHECK_EQ(next_ns, LOGIN_REFILL_NS); /* the refused one was not taken */
    CHECK_EQ(try_from("192.0.2.2"), 0);
    now_ns += LOGIN_REFILL_NS - 1;
    CHECK_EQ(try_from("192.0.2.1"), 1);
    now_ns += 1;
    CHECK_EQ(try_from("192.0.2.1"), 0);
    CHECK_EQ(try_from("192.0.2.1"), LOGIN_REFILL_NS);
    now_ns += LOGIN_TRIES * LOGIN_REFILL_NS;
    all_tries("192.0.2.1");
    logins_fini(&l);
}

TEST(the_right_password_is_not_counted)
{
    begin();
    for (int i = 0; i < 10 * LOGIN_TRIES_ALL; i++) {
        CHECK_EQ(try_from("192.0.2.1"), 0);
        passed_from("192.0.2.1");
    }
    all_tries("192.0.2.1");
    logins_fini(&l);
}

TEST(what_counts_as_one_source)
{
    begin();
    all_tries("2001:db8:1:2:3:4:5:6");
    CHECK(try_from("2001:db8:1:2:ffff::1") > 0); /* of the same subnet */
    CHECK_EQ(try_from("2001:db8:1:3::1"), 0);
    all_tries("192.0.2.1");
    CHECK(try_from("::ffff:192.0.2.1") > 0); /* the same address */
    struct sockaddr_storage local = {.ss_family = AF_UNIX};
    for (int i = 0; i < LOGIN_TRIES; i++)
        CHECK_EQ(logins_try(&l, &local, now_ns, &next_ns), 0);
    CHECK(logins_try(&l, &local, now_ns, &next_ns) > 0);
    logins_fini(&l);
}

static int64_t try_from_new_source(void)
{
    static unsigned count;
    char text[24];
    count++;
    snprintf(text, sizeof text, "10.%u.%u.%u", count >> 16 & 255, count >> 8 & 255, count & 255);
    return try_from(text);
}

TEST(all_sources_together_have_a_limit)
{
    begin();
    for (int i = 0; i < LOGIN_TRIES_ALL; i++)
        CHECK_EQ(try_from_new_source(), 0);
    CHECK_EQ(next_ns, LOGIN_REFILL_ALL_NS);
    CHECK_EQ(try_from_new_source(), LOGIN_REFILL_ALL_NS);
    now_ns += LOGIN_REFILL_ALL_NS;
    CHECK_EQ(try_from_new_source(), 0);
    CHECK_EQ(try_from_new_source(), LOGIN_REFILL_ALL_NS);
    logins_fini(&l);
}

/* G2: as many sources as the common limit lets through, for an hour. */
TEST(the_table_does_not_overflow)
{
    begin();
    int let_through = 0;
    for (int64_t end_ns = now_ns + 3600 * WEFT_SEC; now_ns < end_ns; now_ns += WEFT_SEC / 4)
        let_through += try_from_new_source() == 0;
    CHECK_EQ(let_through, LOGIN_TRIES_ALL - 1 + 3600);
    logins_fini(&l);
}
