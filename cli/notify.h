/*
 * The receiving end of sd_notify(3): a program that is told NOTIFY_SOCKET says READY=1 when it
 * serves. PostgreSQL on Debian is built with it.
 */
#ifndef CLI_NOTIFY_H
#define CLI_NOTIFY_H

#include <atoll/error.h>
#include <stdbool.h>
#include <sys/types.h>

enum { NOTIFY_ADDRESS_SIZE = 64 };

/* Opens a socket; *ret_fd is the caller's, `address` the value for NOTIFY_SOCKET. */
int notify_open(int *ret_fd, char address[static NOTIFY_ADDRESS_SIZE], struct error *err);

/* Reads what arrived; true when READY=1 came from a process of `uid`. */
bool notify_ready(int fd, uid_t uid);

#endif
