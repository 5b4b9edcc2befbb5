/*
 * One packet with a fixed word and descriptors over a unix socket: how the launcher hands its
 * child what it made. Both ends are this program, so a packet of another form is a broken pipe.
 */
#ifndef LAUNCHER_FD_MESSAGE_H
#define LAUNCHER_FD_MESSAGE_H

#include <stddef.h>

enum { FD_MESSAGE_MAX = 8 };

/* Sends `size` bytes and `count` descriptors (1 to FD_MESSAGE_MAX). -1 and errno, never SIGPIPE. */
int fd_message_send(int socket, const void *word, size_t size, const int *fds, size_t count);

/*
 * Waits for a packet of exactly `size` bytes with at least one descriptor; they are the caller's
 * and close-on-exec. -1 and errno; EPIPE at the other end's end.
 */
int fd_message_receive(int socket, void *ret_word, size_t size, int ret_fds[static FD_MESSAGE_MAX],
                       size_t *ret_count);

#endif
