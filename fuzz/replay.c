// SPDX-License-Identifier: Apache-2.0
/*
 * replay.c - runs a fuzz target over files instead of under libFuzzer, with any compiler.
 *
 *     replay_NAME [-v] PATH ...      files, or folders of files (not deeper)
 *
 * The normal test run replays fuzz/corpus/NAME with it: whatever fuzzing once found stays found.
 * Prints TAP, one line a folder or file; -v names each file before it runs. When a target aborts,
 * the name of the file is the last line on standard error.
 */
#include "fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static char current[4096];
static bool verbose;

/* Async-signal-safe: write and raise only. */
static void on_signal(int sig)
{
    ssize_t ignored = write(2, current, strlen(current));
    (void)ignored;
    signal(sig, SIG_DFL);
    raise(sig);
}

/* 1 where the file could be run, 0 where it could not be read. */
static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    char *data = NULL;
    size_t len = 0, cap = 0, n = 0;
    do {
        len += n;
        if (len == cap) {
            cap = cap ? 2 * cap : 4096;
            data = realloc(data, cap);
            FUZZ_CHECK(data);
        }
        n = fread(data + len, 1, cap - len, f);
    } while (n > 0);
    fclose(f);
    snprintf(current, sizeof current, "# while running %s\n", path);
    if (verbose)
        fputs(current, stderr);
    char *block = fuzz_copy(data, len);
    LLVMFuzzerTestOneInput((const uint8_t *)block, len);
    free(block);
    free(data);
    return 1;
}

static int run_folder(const char *path)
{
    int count = 0;
    DIR *d = opendir(path);
    struct dirent *e;
    if (!d)
        return 0;
    while ((e = readdir(d))) {
        char file[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        count += run_file(file);
    }
    closedir(d);
    return count;
}

int main(int argc, char **argv)
{
    int first = argc > 1 && strcmp(argv[1], "-v") == 0 ? 2 : 1, failed = 0;
    verbose = first == 2;
    if (first >= argc) {
        fprintf(stderr, "usage: %s [-v] PATH ...\n", argv[0]);
        return 2;
    }
    signal(SIGABRT, on_signal);
    signal(SIGSEGV, on_signal);
    printf("TAP version 13\n1..%d\n", argc - first);
    for (int i = first; i < argc; i++) {
        struct stat st;
        bool folder = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
        int count = folder ? run_folder(argv[i]) : run_file(argv[i]);
        failed += count == 0;
        printf("%s %d - %d inputs of %s\n", count ? "ok" : "not ok", i - first + 1, count, argv[i]);
        fflush(stdout);
    }
    return failed != 0;
}
