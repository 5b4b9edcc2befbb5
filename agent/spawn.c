/*
 * The child's side runs after vfork(2) when the sandbox is otherwise empty, the usual case: it
 * borrows the agent's memory, so it only makes system calls and writes to its own stack and the
 * report. vfork keeps the agent waiting until exec, and a process of the same user could stop the
 * child in between for good; so when there may be such a process, fork(2) is used (75 us more).
 *
 * The child is never dumpable before its exec (the agent is not), so that nobody can trace it while
 * it has the user's identity and the agent's memory.
 */
#include "agent/spawn.h"

#include "agent/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/securebits.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (UINT64_C(1) << (capability))

/* What root of a `dev` sandbox may do, all of it inside the user namespace. */
#define DEV_CAPABILITIES                                                                           \
    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |                  \
     BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_KILL) | BIT(CAP_NET_BIND_SERVICE) |               \
     BIT(CAP_SYS_CHROOT) | BIT(CAP_AUDIT_WRITE))

/* Locked for good: root's uid gives nothing, and nothing can be raised as ambient. */
#define STRICT_SECUREBITS                                                                          \
    (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                               \
     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |       \
     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

/* Added to the score by which the kernel picks what dies when memory runs out (0..1000), so that
 * it is a command and not the agent. */
static const char oom_score[] = "500";

static bool strict_profile;
static struct rlimit descriptor_limit; /* as the agent found it */

/* Shrinks the bounding set to `keep`, for the agent and so for all that it starts. */
static int limit_bounding_set(uint64_t keep)
{
    for (int capability = 0; capability < 64; capability++) {
        int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);

        if (held < 0)
            break; /* above the kernel's last capability */
        if (held > 0 && !(keep & BIT(capability)) &&
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            return errno;
    }
    return 0;
}

static int lock_privileges(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return errno;
    if (prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) != STRICT_SECUREBITS &&
        prctl(PR_SET_SECUREBITS, STRICT_SECUREBITS, 0, 0, 0) < 0)
        return errno;
    return 0;
}

/* Empties the inheritable set, and the permitted and effective ones too unless `keep`. */
static int clear_capabilities(bool keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (keep && syscall(SYS_capget, &header, data) < 0)
        return errno;
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        data[i].inheritable = 0;
    return syscall(SYS_capset, &header, data) < 0 ? errno : 0;
}

/* The agent holds pipes of many commands at once; a command finds the limit it would have had. */
static int raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return errno;
    descriptor_limit = limit;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? errno : 0;
}

static int restore_descriptor_limit(void)
{
    return setrlimit(RLIMIT_NOFILE, &descriptor_limit) < 0 ? errno : 0;
}

int spawn_init(bool strict, uint64_t capabilities)
{
    int errnum = raise_descriptor_limit();

    strict_profile = strict;
    if (errnum == 0)
        errnum = limit_bounding_set(strict ? 0 : DEV_CAPABILITIES & capabilities);
    if (errnum == 0 && strict)
        errnum = lock_privileges();
    if (errnum == 0)
        errnum = clear_capabilities(true);
    if (errnum != 0)
        return errnum;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? errno : 0;
}

static int place_descriptors(const int fds[3])
{
    for (int target = 0; target < 3; target++) {
        if (fds[target] >= 0 && dup2(fds[target], target) < 0)
            return errno;
    }
    return 0;
}

/* A sandbox without /proc only loses the preference; memory limits hold all the same. */
static void raise_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    (void)!write(fd, oom_score, sizeof(oom_score) - 1);
    close(fd);
}

/*
 * The other sets of capabilities were emptied by spawn_init. Bare system calls: a libc's own would
 * take its locks, to change every thread.
 */
static int become(const struct account *account)
{
    if (syscall(SYS_setgroups, account->group_count, account->groups) < 0 ||
        syscall(SYS_setresgid, account->gid, account->gid, account->gid) < 0 ||
        syscall(SYS_setresuid, account->uid, account->uid, account->uid) < 0)
        return errno;
    return strict_profile ? clear_capabilities(false) : 0;
}

static const char *search_path(const char *const *env)
{
    for (; *env; env++) {
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    }
    return "";
}

/* Executes <directory>/<name>; an empty directory is the working directory (POSIX, PATH). */
static void exec_in(const char *directory, size_t length, const struct spawn_request *request)
{
    char path[PATH_MAX];
    const char *name = request->argv[0];
    size_t name_size = strlen(name) + 1;

    if (length >= sizeof(path) || name_size >= sizeof(path) - length) {
        errno = ENAMETOOLONG;
        return;
    }
    memcpy(path, directory, length);
    if (length > 0)
        path[length++] = '/';
    memcpy(path + length, name, name_size);
    (void)execve(path, (char *const *)request->argv, (char *const *)request->env);
}

/* As execvp(3), but by the command's own PATH and without a shell for what has no format. */
static int exec_search(const struct spawn_request *request)
{
    const char *path = search_path(request->env);
    int result = ENOENT;

    if (strchr(request->argv[0], '/')) {
        (void)execve(request->argv[0], (char *const *)request->argv, (char *const *)request->env);
        return errno;
    }
    for (;;) {
        size_t length = strcspn(path, ":");

        exec_in(path, length, request);
        if (errno == EACCES)
            result = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return errno;
        if (path[length] == '\0')
            return result;
        path += length + 1;
    }
}

/* musl has no execveat. Where no program was handed over, the descriptor is /dev/null: EACCES. */
static int exec_archive(const struct spawn_request *request)
{
    (void)syscall(SYS_execveat, AGENT_FD_ARCHIVE, "", request->argv, request->env, AT_EMPTY_PATH);
    return errno;
}

static int prepare(const struct spawn_request *request)
{
    int errnum;

    if (setsid() < 0)
        return errno;
    /* The agent's priority over its commands is its own. To give it up is never refused. */
    (void)setpriority(PRIO_PROCESS, 0, 0);
    errnum = place_descriptors(request->fds);
    if (errnum == 0 && request->terminal && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
        errnum = errno;
    if (errnum == 0)
        errnum = tree_join(request->mark);
    if (errnum == 0)
        errnum = restore_descriptor_limit();
    raise_oom_score();
    return errnum;
}

static uint32_t run_child(const struct spawn_request *request, int *ret_errnum)
{
    sigset_t none;

    *ret_errnum = prepare(request);
    if (*ret_errnum != 0)
        return AGENT_STAGE_PROCESS;
    *ret_errnum = become(request->account);
    if (*ret_errnum != 0)
        return AGENT_STAGE_IDENTITY;
    if (chdir(request->cwd) < 0) {
        *ret_errnum = errno;
        return AGENT_STAGE_CWD;
    }
    /* Every descriptor of the agent is close-on-exec; this is the second lock. Only the exec closes
     * them: one of them tells the agent when it has happened. */
    (void)syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    *ret_errnum = request->archive ? exec_archive(request) : exec_search(request);
    return AGENT_STAGE_EXEC;
}

static _Noreturn void child_main(const struct spawn_request *request,
                                 volatile struct spawn_report *report)
{
    int errnum;
    uint32_t stage = run_child(request, &errnum);

    report->errnum = (uint32_t)errnum;
    report->stage = stage;
    _exit(127);
}

int spawn_process(const struct spawn_request *request, volatile struct spawn_report *report,
                  pid_t *ret_pid)
{
    pid_t pid;

    report->stage = 0;
    report->errnum = 0;
    if (request->alone)
        pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork): see the top */
    else
        pid = fork();
    if (pid == 0)
        child_main(request, report); /* NOLINT(clang-analyzer-unix.Vfork): see the top */
    if (pid < 0)
        return errno;
    *ret_pid = pid;
    return 0;
}
