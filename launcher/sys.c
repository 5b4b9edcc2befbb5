#include "launcher/sys.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t sys_clone3(struct clone_args *args)
{
    return (pid_t)syscall(SYS_clone3, args, sizeof(*args));
}

int sys_openat2(int dir_fd, const char *path, const struct open_how *how)
{
    return (int)syscall(SYS_openat2, dir_fd, path, how, sizeof(*how));
}

int sys_write_file(int dir_fd, const char *path, const char *text)
{
    _cleanup_close_ int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t size = strlen(text);
    ssize_t written;

    if (fd < 0)
        return -1;
    written = write(fd, text, size);
    if (written < 0)
        return -1;
    if ((size_t)written != size) {
        errno = EIO;
        return -1;
    }
    return 0;
}

ssize_t sys_read_file(int dir_fd, const char *path, char *text, size_t size)
{
    _cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got;

    if (fd < 0)
        return -1;
    got = read(fd, text, size - 1);
    if (got >= 0)
        text[got] = '\0';
    return got;
}
