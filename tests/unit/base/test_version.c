// SPDX-License-Identifier: Apache-2.0
/* test_version.c - the header, the library and the build agree on one version. */
#include "test.h"

#include <weft/version.h>

TEST(macros_agree_with_the_build)
{
    char text[64];
    snprintf(
        text, sizeof text, "%d.%d.%d", WEFT_VERSION_MAJOR, WEFT_VERSION_MINOR, WEFT_VERSION_PATCH);
    CHECK_STR(text, WEFT_VERSION_STRING);
    CHECK_STR(text, WEFT_BUILD_VERSION);
}

TEST(the_library_answers_what_the_header_says)
{
    CHECK_EQ(weft_version(), WEFT_VERSION);
    CHECK_STR(weft_version_string(), WEFT_VERSION_STRING);
}

TEST(numbers_compare)
{
    CHECK(WEFT_VERSION_NUMBER(0, 2, 0) > WEFT_VERSION_NUMBER(0, 1, 999));
    CHECK(WEFT_VERSION_NUMBER(1, 0, 0) > WEFT_VERSION_NUMBER(0, 999, 999));
}

TEST(units_of_time)
{
    CHECK_EQ(WEFT_SEC, 1000000000);
    CHECK_EQ(1500 * WEFT_MS, WEFT_SEC + 500000 * WEFT_US);
    CHECK(sizeof(WEFT_NS) == 8);
}
