#include "cli/notify.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int notify_open(int *ret_fd, char address[static NOTIFY_ADDRESS_SIZE], struct error *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(sa_family_t);
    int on = 1;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    /* Bound without a name, the kernel picks a free abstract one (unix(7), autobind). */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&name, size) < 0)
        return error_set_errno(err, errno, "notification socket");
    size = sizeof(name);
    if (getsockname(fd, (struct sockaddr *)&name, &size) < 0)
        return error_set_errno(err, errno, "notification socket");
    (void)snprintf(address, NOTIFY_ADDRESS_SIZE, "@%.*s",
                   (int)(size - offsetof(struct sockaddr_un, sun_path) - 1), name.sun_path + 1);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* Anybody of this network namespace can send to an abstract socket: the sender's uid counts. */
static bool sent_by(struct msghdr *message, uid_t uid)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        struct ucred sender;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
            continue;
        memcpy(&sender, CMSG_DATA(c), sizeof(sender));
        return sender.uid == uid;
    }
    return false;
}

bool notify_ready(int fd, uid_t uid)
{
    char text[4096];
    char control[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec data = {.iov_base = text, .iov_len = sizeof(text) - 1};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };
    ssize_t size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

    if (size < 0 || !sent_by(&message, uid))
        return false;
    text[size] = '\0';
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (strcmp(line, "READY=1") == 0)
            return true;
    }
    return false;
}
