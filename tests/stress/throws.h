// SPDX-License-Identifier: Apache-2.0
/* throws.h - C++ for stress_hostile.c: exceptions thrown, caught, kept while a fiber parks. All
 * return 0, or the number of the check that failed. */
#ifndef WEFT_TESTS_THROWS_H
#define WEFT_TESTS_THROWS_H
#ifdef __cplusplus
extern "C" {
#endif
/** Throws through `depth` frames with destructors, and looks at what arrives. */
int throws_and_catches(int depth, int who);
/** Parks in a catch block, in one inside it, and rethrows; each time the exception is its own. */
int parks_while_caught(int who, int round, void (*park)(void *arg), void *arg);
#ifdef __cplusplus
}
#endif
#endif
