/* What a process gives up for good, with everything that it starts: Landlock and seccomp. */
#include "pto2_linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* Kernel ABI of Landlock; older headers lack some or all of it. */
struct ruleset {
    uint64_t files, network, scoped;
};
struct __attribute__((packed)) beneath {
    uint64_t access;
    int32_t fd;
};
#define ABI_ONLY 1u    /* LANDLOCK_CREATE_RULESET_VERSION */
#define BENEATH 1      /* LANDLOCK_RULE_PATH_BENEATH */
#define WRITE_FILE (1ull << 1)
#define CHANGE_FOLDER (0x1FFull << 4) /* REMOVE_DIR ... MAKE_SYM */
#define REFER (1ull << 13)    /* ABI 2 */
#define TRUNCATE (1ull << 14) /* ABI 3 */
#define SCOPE_SIGNAL 2ull     /* ABI 6 */

int pto2_landlock_abi(void) {
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, ABI_ONLY);
    return abi < 0 ? -errno : (int)abi;
}

static int allow(int rules, const char *path, uint64_t files) {
    struct stat status;
    /* What a symbolic link leads to is allowed, or not, by itself. */
    struct beneath rule = {.access = files, .fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC)};
    int result = 0;
    if (rule.fd < 0) return 0; /* gone, or not for this user */
    if (fstat(rule.fd, &status) == 0 && !S_ISLNK(status.st_mode)) {
        if (!S_ISDIR(status.st_mode)) rule.access &= WRITE_FILE | TRUNCATE;
        if (syscall(SYS_landlock_add_rule, rules, BENEATH, &rule, 0) < 0) result = -errno;
    }
    close(rule.fd);
    return result;
}

/* Everything in a folder but some of it. */
static int allow_all_in(int rules, const char *folder, const char *const *but, uint64_t files) {
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    int result = entries ? 0 : -errno;
    while (result == 0 && (entry = readdir(entries))) {
        char path[300];
        int is_out = entry->d_name[0] == '.' &&
                     (!entry->d_name[1] || (entry->d_name[1] == '.' && !entry->d_name[2]));
        for (const char *const *name = but; *name; name++) is_out |= !strcmp(entry->d_name, *name);
        if (is_out) continue;
        strcpy(path, folder);
        strcat(path, entry->d_name);
        result = allow(rules, path, files);
    }
    if (entries) closedir(entries);
    return result;
}

static int restrict_files(int abi) {
    static const char *const root[] = {"dev", "proc", NULL}, *const dev[] = {"shm", NULL};
    struct ruleset wanted = {.files = WRITE_FILE | CHANGE_FOLDER};
    if (abi >= 2) wanted.files |= REFER;
    if (abi >= 3) wanted.files |= TRUNCATE;
    if (abi >= 6) wanted.scoped = SCOPE_SIGNAL;
    const size_t bytes = abi >= 6 ? sizeof wanted : abi >= 4 ? 16 : 8;
    const int rules = (int)syscall(SYS_landlock_create_ruleset, &wanted, bytes, 0);
    if (rules < 0) return -errno;
    int result = allow_all_in(rules, "/", root, wanted.files);
    if (result == 0) result = allow_all_in(rules, "/dev/", dev, wanted.files);
    if (result == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0) result = -errno;
    close(rules);
    return result;
}

/* ---- system calls ----------------------------------------------------------- */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define LAST_NUMBER 0x3FFFFFFFu /* above: x32 */
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define LAST_NUMBER 0x7FFFFFFFu
#endif

static int restrict_calls(void) {
#ifdef ARCHITECTURE
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define REFUSE(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), REFUSED
#define REFUSED BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
    struct sock_filter code[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        REFUSED,
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_NUMBER, 0, 1),
        REFUSED,
        REFUSE(SYS_ptrace),
        REFUSE(SYS_process_vm_writev),
        REFUSE(SYS_pidfd_getfd),
        REFUSE(SYS_open_by_handle_at),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return errno == EINVAL ? 0 : -errno; /* without seccomp: Landlock does most of it */
#endif
    return 0;
}

int pto2_confine(void) {
    const int abi = pto2_landlock_abi();
    if (abi < 0) return abi;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -errno;
    const int result = restrict_files(abi);
    return result < 0 ? result : restrict_calls();
}
