#include "agent/terminal.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* <linux/tty.h> has it, musl's <sys/ioctl.h> not in every version. */
#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

int terminal_resize(int near, uint16_t rows, uint16_t columns)
{
    const struct winsize size = {.ws_row = rows, .ws_col = columns};

    return ioctl(near, TIOCSWINSZ, &size) < 0 ? errno : 0;
}

int terminal_open(uid_t uid, uint16_t rows, uint16_t columns, int *ret_near, int *ret_far)
{
    _cleanup_close_ int near =
        open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_close_ int far = -1;
    const int unlocked = 0;
    int errnum;

    if (near < 0 || ioctl(near, TIOCSPTLCK, &unlocked) < 0)
        return errno;
    far = ioctl(near, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (far < 0 || fchown(far, uid, (gid_t)-1) < 0)
        return errno;
    errnum = terminal_resize(near, rows, columns);
    if (errnum != 0)
        return errnum;
    *ret_near = TAKE_FD(near);
    *ret_far = TAKE_FD(far);
    return 0;
}
