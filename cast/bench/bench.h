// SPDX-License-Identifier: Apache-2.0
/*
 * bench.h - `weftcast bench`: a load generator for servers that speak Centrifugo's protocol.
 */
#ifndef CAST_BENCH_BENCH_H
#define CAST_BENCH_BENCH_H

/**
 * cast_bench_main - run the sub-command.
 * @argc, @argv: its arguments; argv[0] is the name to be printed.
 *
 * Prints a report, or JSON with --json, on standard output and progress on standard error.
 * Returns the exit status: 0 done, 1 the load could not be brought up or messages were lost with
 * --fail-on-loss, 2 wrong usage.
 */
int cast_bench_main(int argc, char **argv);
#endif
