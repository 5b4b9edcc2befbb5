#include "cli/spawn.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

extern char **environ;

/* What went wrong in the child before exec, sent through a pipe that exec closes. */
struct child_failure {
    int errnum;
    char step[32];
};

static void __attribute__((noreturn)) child_fail(int report, const char *step)
{
    struct child_failure failure = {.errnum = errno};

    (void)snprintf(failure.step, sizeof(failure.step), "%s", step);
    /* When even this fails, the parent sees the exit code. */
    if (write(report, &failure, sizeof(failure)) < 0)
        _exit(126);
    _exit(127);
}

static void child_signals(int report)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL); /* fails for KILL, STOP and the reserved ones */
    (void)sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        child_fail(report, "signal mask");
}

static void child_streams(const struct spawn *spawn, int report)
{
    int input = spawn->input;

    if (input < 0)
        input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0 || dup2(input, STDIN_FILENO) < 0)
        child_fail(report, "standard input");
    if (spawn->output >= 0 &&
        (dup2(spawn->output, STDOUT_FILENO) < 0 || dup2(spawn->output, STDERR_FILENO) < 0))
        child_fail(report, "standard output");
    /* Also what this process was given by its own parent without close-on-exec. */
    if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        child_fail(report, "closing descriptors");
    if (spawn->keep_fd && fcntl(*spawn->keep_fd, F_SETFD, 0) < 0)
        child_fail(report, "keeping a descriptor");
}

/* A recipe that is killed leaves no mount behind. Hosts that refuse it still get their image. */
static void child_mounts(int report)
{
    if (unshare(CLONE_NEWNS) < 0)
        return;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        child_fail(report, "private mounts");
}

static void child_identity(const struct identity *identity, int report)
{
    if (setgroups(1, &identity->gid) < 0 ||
        setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
        setresuid(identity->uid, identity->uid, identity->uid) < 0)
        child_fail(report, "changing the user");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        child_fail(report, "no_new_privs");
}

static void __attribute__((noreturn))
child_main(const struct spawn *spawn, int binary, int report, pid_t parent)
{
    char *const *environment = spawn->environment ? spawn->environment : environ;

    if (spawn->own_group && setpgid(0, 0) < 0)
        child_fail(report, "process group");
    child_signals(report);
    child_streams(spawn, report);
    if (chdir("/") < 0)
        child_fail(report, "working folder");
    if (spawn->private_mounts)
        child_mounts(report);
    if (spawn->identity)
        child_identity(spawn->identity, report);
    /* After the change of user, because that clears it (prctl(2)). */
    if (prctl(PR_SET_PDEATHSIG, spawn->death_signal, 0, 0, 0) < 0)
        child_fail(report, "death signal");
    if (getppid() != parent)
        _exit(127);
    (void)execveat(binary, "", (char *const *)(const void *)spawn->argv, environment,
                   AT_EMPTY_PATH);
    /* A script cannot be run from a close-on-exec descriptor (execveat(2), BUGS). */
    if (errno == ENOENT)
        (void)execve(spawn->path, (char *const *)(const void *)spawn->argv, environment);
    child_fail(report, "exec");
}

/* Waits until the child has run exec (the pipe closes) or reports why not. */
static int await_exec(int report, const struct spawn *spawn, pid_t pid, struct error *err)
{
    struct child_failure failure;
    ssize_t got;

    do {
        got = read(report, &failure, sizeof(failure));
    } while (got < 0 && errno == EINTR);
    if (got == 0)
        return 0;
    (void)waitpid(pid, NULL, 0);
    if (got != sizeof(failure))
        return error_set(err, ERR_INTERNAL, "starting %s failed", spawn->path);
    return error_set_errno(err, failure.errnum, "starting %s (%.32s)", spawn->path, failure.step);
}

int spawn_start(const struct spawn *spawn, pid_t *ret_pid, int *ret_pidfd, struct error *err)
{
    _cleanup_close_ int binary = open(spawn->path, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int report_read = -1;
    _cleanup_close_ int report_write = -1;
    pid_t parent = getpid();
    int pipe_fds[2];
    int pidfd;
    pid_t pid;

    if (binary < 0)
        return error_set_errno(err, errno, "%s", spawn->path);
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "pipe");
    report_read = pipe_fds[0];
    report_write = pipe_fds[1];
    pid = fork();
    if (pid < 0)
        return error_set_errno(err, errno, "fork");
    if (pid == 0)
        child_main(spawn, binary, report_write, parent);
    (void)close(TAKE_FD(report_write));
    if (await_exec(report_read, spawn, pid, err) < 0)
        return -1;
    pidfd = pidfd_open(pid, 0);
    if (pidfd < 0) {
        (void)error_set_errno(err, errno, "pidfd_open");
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return -1;
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}

int spawn_reap(pid_t pid, int *ret_status, struct error *err)
{
    while (waitpid(pid, ret_status, 0) < 0) {
        if (errno != EINTR)
            return error_set_errno(err, errno, "waitpid");
    }
    return 0;
}

const char *spawn_status_text(int status, char text[static 64])
{
    if (WIFSIGNALED(status))
        (void)snprintf(text, 64, "signal %d (%s)", WTERMSIG(status),
                       sigdescr_np(WTERMSIG(status)) ? sigdescr_np(WTERMSIG(status)) : "unknown");
    else
        (void)snprintf(text, 64, "exit code %d", WEXITSTATUS(status));
    return text;
}

int spawn_find_tool(const char *name, char path[static 64], struct error *err)
{
    static const char *const folders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                          "/usr/bin",        "/sbin",          "/bin"};

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if (snprintf(path, 64, "%s/%s", folders[i], name) < 64 && access(path, X_OK) == 0)
            return 0;
    }
    return error_set(err, ERR_INTERNAL, "%s is not installed", name);
}

int spawn_tool(const char *const *argv, struct error *err)
{
    struct spawn spawn = {.argv = argv, .input = -1, .output = -1, .death_signal = SIGTERM};
    _cleanup_close_ int pidfd = -1;
    char path[64];
    char text[64];
    int status = 0;
    pid_t pid = 0;

    if (spawn_find_tool(argv[0], path, err) < 0)
        return -1;
    spawn.path = path;
    if (spawn_start(&spawn, &pid, &pidfd, err) < 0 || spawn_reap(pid, &status, err) < 0)
        return -1;
    if (status != 0)
        return error_set(err, ERR_INTERNAL, "%s failed: %s", argv[0],
                         spawn_status_text(status, text));
    return 0;
}
