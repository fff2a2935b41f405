// SPDX-License-Identifier: Apache-2.0
/* guide_files.c - a file that is replaced as a whole or not at all. Quoted by docs/guide.md. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft/weft.h>

static int save(const char *path, const char *fresh, const char *text)
{
    int fd = weft_open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return fd;
    ssize_t rc = weft_pwrite(fd, text, strlen(text), 0);
    if (rc >= 0)
        rc = (size_t)rc == strlen(text) ? weft_fsync(fd) : -EIO;
    weft_close(fd);
    return rc < 0 ? (int)rc : weft_rename(fresh, path);
}

static int app(void *arg)
{
    char folder[] = "/tmp/weft-guide-XXXXXX", path[64], fresh[64], buf[64];
    (void)arg;
    if (!mkdtemp(folder))
        return -EIO;
    snprintf(path, sizeof path, "%s/notes", folder);
    snprintf(fresh, sizeof fresh, "%s/notes.new", folder);
    int rc = save(path, fresh, "remember the milk\n");
    int fd = rc < 0 ? rc : weft_open(path, O_RDONLY, 0);
    if (fd >= 0) {
        ssize_t n = weft_pread(fd, buf, sizeof buf, 0);
        printf("%.*s", (int)(n > 0 ? n : 0), buf);
        weft_close(fd);
        rc = weft_unlink(path);
    }
    rmdir(folder);
    return rc;
}

int main(void)
{
    return weft_main(app, NULL);
}
