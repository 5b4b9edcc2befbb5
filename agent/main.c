/*
 * atoll-agent: process 1 of a sandbox, and the only thing of Atoll inside it.
 *
 *     atoll-agent --profile=strict|dev [--capabilities=HEX]
 *
 * Descriptors: 0-2 /dev/null, 3 listener, 4 logs or absent, 5 the archive program or absent.
 *
 * One thread, one loop: wait for events, reap what died, let each connection move on. Nothing in it
 * blocks, nothing is allocated but the memory of a connection, and nothing that arrives can end it:
 * if it ended, the kernel would end the sandbox. It trusts neither its clients nor the processes
 * around it. docs/agent-protocol.md says what it does for whom.
 */
#include "agent/peer.h"
#include "agent/process.h"
#include "agent/reaper.h"
#include "agent/spawn.h"
#include "agent/stop.h"
#include "agent/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static void say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

/* Eight hex digits, as the launcher writes them: bit n is capability n. */
static bool parse_capabilities(const char *text, uint64_t *ret_capabilities)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t value = 0;

    if (strlen(text) != 8)
        return false;
    for (; *text; text++) {
        const char *digit = strchr(digits, *text);

        if (!digit)
            return false;
        value = value << 4 | (uint64_t)(digit - digits);
    }
    *ret_capabilities = value;
    return true;
}

/* Without a list, `dev` gives all that it may. */
static bool parse_arguments(int argc, char **argv, bool *ret_strict, uint64_t *ret_capabilities)
{
    static const char option[] = "--capabilities=";

    if (argc < 2 || argc > 3)
        return false;
    *ret_strict = strcmp(argv[1], "--profile=strict") == 0;
    *ret_capabilities = *ret_strict ? 0 : UINT64_MAX;
    if (!*ret_strict && strcmp(argv[1], "--profile=dev") != 0)
        return false;
    if (argc == 3)
        return !*ret_strict && strncmp(argv[2], option, strlen(option)) == 0 &&
               parse_capabilities(argv[2] + strlen(option), ret_capabilities);
    return true;
}

/* Where it was not handed over, nothing else gets its number. */
static int init_archive(void)
{
    if (fcntl(AGENT_FD_ARCHIVE, F_GETFD) < 0 && dup2(STDIN_FILENO, AGENT_FD_ARCHIVE) < 0)
        return errno;
    return fcntl(AGENT_FD_ARCHIVE, F_SETFD, FD_CLOEXEC) < 0 ? errno : 0;
}

/* 0-2 exist, so that no pipe gets such a number; what was handed over stays with the agent. */
static int init_descriptors(void)
{
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            return errno;
    }
    if (fcntl(AGENT_FD_LISTEN, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(AGENT_FD_LISTEN, F_SETFL, O_NONBLOCK) < 0)
        return errno;
    if (fcntl(AGENT_FD_LOGS, F_GETFD) >= 0)
        (void)fcntl(AGENT_FD_LOGS, F_SETFD, FD_CLOEXEC);
    if (syscall(SYS_close_range, AGENT_FD_LAST + 1, ~0U, 0) < 0)
        return errno;
    return init_archive();
}

/* What rt_sigaction(2) takes; all zero is the default disposition. */
struct kernel_sigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

enum { KERNEL_SIGNALS = 64 };

/* Commands inherit dispositions through exec, so all are the default; the agent itself is deaf but
 * for SIGCHLD, which comes through a descriptor. The libc's own call refuses the signals that it
 * reserves (32 to 34), which a parent may have left ignored. */
static int init_signals(int *ret_fd)
{
    const struct kernel_sigaction by_default = {0};
    sigset_t all, child;
    int fd;

    for (int signum = 1; signum <= KERNEL_SIGNALS; signum++)
        (void)syscall(SYS_rt_sigaction, signum, &by_default, NULL, sizeof(by_default.mask));
    sigfillset(&all);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
        return errno;
    fd = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return errno;
    *ret_fd = fd;
    return 0;
}

static int init_process(bool strict, uint64_t capabilities)
{
    const struct rlimit no_core = {0, 0};
    int errnum;

    /* Nobody inside may trace it, read its memory or use its descriptors through /proc/1. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
        return errno;
    (void)umask(022);
    (void)syscall(SYS_setgroups, 0, NULL);
    errnum = tree_init();
    return errnum != 0 ? errnum : spawn_init(strict, capabilities);
}

static int init(bool strict, uint64_t capabilities, int *ret_signal_fd)
{
    int errnum = init_descriptors();

    if (errnum == 0)
        errnum = init_process(strict, capabilities);
    if (errnum == 0)
        errnum = init_signals(ret_signal_fd);
    if (errnum == 0)
        errnum = peers_init();
    if (errnum == 0)
        errnum = processes_init();
    if (errnum == 0)
        errnum = poller_init();
    if (errnum == 0)
        errnum = poller_add(*ret_signal_fd, POLLER_CHILD, 0, EPOLLIN);
    if (errnum == 0)
        errnum = poller_add(AGENT_FD_LISTEN, POLLER_LISTENER, 0, EPOLLIN);
    return errnum;
}

/* The signal says that children have ended, not how many. */
static bool take_signal(int signal_fd)
{
    struct signalfd_siginfo info;

    (void)!read(signal_fd, &info, sizeof(info));
    return true;
}

/* Of two timeouts of poller_wait. */
static int sooner(int a, int b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

static _Noreturn void run(int signal_fd)
{
    struct poller_event events[POLLER_BATCH];
    bool listening = true;
    bool reaping = false;
    int timeout = -1;

    for (;;) {
        int count = poller_wait(events, reaping ? 0 : timeout);

        for (int i = 0; i < count; i++) {
            if (events[i].source == POLLER_CHILD)
                reaping = take_signal(signal_fd);
            else if (events[i].source == POLLER_LISTENER)
                peers_accept(AGENT_FD_LISTEN);
            else if (events[i].index < POLLER_PROCESSES)
                peers_event(&events[i]);
            else
                processes_event(&events[i]);
        }
        if (reaping)
            reaping = reaper_run();
        /* In this order: what peers began has its deadline noted, and what processes wrote is
         * passed on in a turn that follows at once. */
        timeout = sooner(peers_run(), processes_run());
        timeout = sooner(timeout, stop_run());
        if (listening == peers_full()) {
            listening = !listening;
            poller_set_listener(AGENT_FD_LISTEN, listening ? EPOLLIN : 0);
        }
    }
}

int main(int argc, char **argv)
{
    int signal_fd = -1;
    uint64_t capabilities;
    bool strict;
    int errnum;

    if (!parse_arguments(argc, argv, &strict, &capabilities)) {
        say("usage: atoll-agent --profile=strict|dev [--capabilities=HEX]\n");
        return EXIT_USAGE;
    }
    errnum = init(strict, capabilities, &signal_fd);
    if (errnum != 0) {
        say("atoll-agent: cannot start: ");
        say(strerror(errnum));
        say("\n");
        return EXIT_FAILURE;
    }
    run(signal_fd);
}
