/* Preloaded into a server: after each sync of a file below $POWER_CUT_FOLDER, "NAME.synced" is what a power cut would
   leave of it at the worst, all later writes being lost. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void keep(int descriptor) {
    const char *folder = getenv("POWER_CUT_FOLDER");
    char link[64], path[512], new[560], synced[560], buffer[65536];
    struct stat status;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (folder == NULL || length <= 0) return;
    path[length] = 0;
    if (strncmp(path, folder, strlen(folder)) || fstat(descriptor, &status) || !S_ISREG(status.st_mode)) return;
    snprintf(new, sizeof new, "%s.new", path);
    snprintf(synced, sizeof synced, "%s.synced", path);
    int source = open(path, O_RDONLY), target = open(new, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (source < 0 || target < 0) abort();
    while ((length = read(source, buffer, sizeof buffer)) > 0)
        if (write(target, buffer, length) != length) abort();
    close(source);
    close(target);
    rename(new, synced);
}

int fsync(int descriptor) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync"), result = real(descriptor);
    keep(descriptor);
    return result;
}

int fdatasync(int descriptor) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync"), result = real(descriptor);
    keep(descriptor);
    return result;
}
