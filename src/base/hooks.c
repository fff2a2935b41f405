// SPDX-License-Identifier: Apache-2.0
/* hooks.c - the pointers of hooks.h, and what happens in a build without the upper rooms: nothing.
 */
#include "base/hooks.h"

#include <stddef.h>

void (*weft__dump_hook)(int fd);
bool (*weft__signal_noted_hook)(int number);
void (*weft__quit_handler)(int number);
void (*weft__give_up_hook)(const char *what, const char *text);
