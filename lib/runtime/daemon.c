#include "lib/runtime/daemon.h"

#include "lib/base/util.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int daemon_signals_open(int *ret_fd, struct error *err)
{
    sigset_t set;
    int fd;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot open a signalfd");
    (void)sigaddset(&set, SIGPIPE);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    *ret_fd = fd;
    return 0;
}

enum daemon_wake daemon_wait(int signals, int64_t deadline_usec)
{
    struct pollfd poller = {.fd = signals, .events = POLLIN};
    struct signalfd_siginfo info;

    for (;;) {
        int left = deadline_left_ms(deadline_usec);

        (void)poll(&poller, 1, left);
        if (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
            return info.ssi_signo == SIGHUP ? DAEMON_RELOAD : DAEMON_STOP;
        if (left == 0)
            return DAEMON_DEADLINE;
    }
}
