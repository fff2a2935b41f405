// SPDX-License-Identifier: Apache-2.0
/* main.c - puts command line, server and load generator together. */
#include "bench/bench.h"
#include "cli/cli.h"
#include "server/server.h"

#include <unistd.h>

int main(int argc, char **argv)
{
    const struct cast_cli_hooks hooks = {.serve = cast_serve, .bench = cast_bench_main};
    return cast_cli_main(argc, argv, environ, &hooks);
}
