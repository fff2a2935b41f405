// SPDX-License-Identifier: Apache-2.0
/* hooks.c - the pointers of hooks.h, and what happens in a build without the upper rooms: nothing.
 */
#include "base/hooks.h"

#include <stddef.h>

void (*weft__dump_hook)(int fd);
void (*weft__give_up_hook)(const char *what, const char *text);
