#include "pto2_private_shm.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    ssize_t length = (ssize_t)strlen(text);
    int result = write(fd, text, (size_t)length) == length ? 0 : -errno;
    close(fd);
    return result;
}

/* Without privileges: a user namespace in which this user is itself. */
static int enter_as_user(void) {
    char user[64], group[64];
    snprintf(user, sizeof user, "%u %u 1", (unsigned)geteuid(), (unsigned)geteuid());
    snprintf(group, sizeof group, "%u %u 1", (unsigned)getegid(), (unsigned)getegid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return -errno;
    int result = write_file("/proc/self/uid_map", user);
    if (result == 0) result = write_file("/proc/self/setgroups", "deny");
    if (result == 0) result = write_file("/proc/self/gid_map", group);
    return result;
}

int pto2_enter_private_shm(uint64_t bytes) {
    char options[64];
    snprintf(options, sizeof options, "mode=1777,size=%llu", (unsigned long long)bytes);
    if (unshare(CLONE_NEWNS) != 0) {
        int result = errno == EPERM ? enter_as_user() : -errno;
        if (result != 0) return result;
    }
    /* What is mounted here is not to be seen outside. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return -errno;
    if (mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) return -errno;
    return 0;
}

int pto2_fill_shm(uint64_t leave) {
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) return -errno;
    off_t end = 0;
    /* Others may take or give back memory between the look and the allocation. */
    for (int tries = 0; tries < 100; tries++) {
        struct statvfs room;
        if (fstatvfs(fd, &room) != 0) break;
        uint64_t available = (uint64_t)room.f_bavail * room.f_frsize;
        if (available < leave + room.f_frsize) return fd;
        off_t more = (off_t)(available - leave);
        if (fallocate(fd, 0, end, more) == 0) end += more;
        else if (errno != ENOSPC && errno != EINTR) break;
    }
    int error = errno != 0 ? errno : ENOSPC;
    close(fd);
    return -error;
}
