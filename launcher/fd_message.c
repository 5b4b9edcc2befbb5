#include "launcher/fd_message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union control_space {
    char bytes[CMSG_SPACE(FD_MESSAGE_MAX * sizeof(int))];
    struct cmsghdr align;
};

int fd_message_send(int socket, const void *word, size_t size, const int *fds, size_t count)
{
    union control_space space = {.bytes = {0}};
    struct iovec data = {(void *)word, size};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = space.bytes,
        .msg_controllen = CMSG_SPACE(count * sizeof(int)),
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

int fd_message_receive(int socket, void *ret_word, size_t size, int ret_fds[static FD_MESSAGE_MAX],
                       size_t *ret_count)
{
    union control_space space;
    struct iovec data = {ret_word, size};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = space.bytes,
        .msg_controllen = sizeof(space.bytes),
    };
    struct cmsghdr *header;
    size_t bytes;
    ssize_t got;

    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    header = got == (ssize_t)size ? CMSG_FIRSTHDR(&message) : NULL;
    if (!header || header->cmsg_type != SCM_RIGHTS || (message.msg_flags & MSG_CTRUNC)) {
        errno = EPIPE;
        return -1;
    }
    bytes = header->cmsg_len - CMSG_LEN(0);
    memcpy(ret_fds, CMSG_DATA(header), bytes);
    *ret_count = bytes / sizeof(int);
    return 0;
}
