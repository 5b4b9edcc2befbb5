/*
 * System calls that glibc 2.36 does not wrap, and one helper around writing small kernel files.
 * All behave as system calls do: -1 and errno on failure.
 */
#ifndef LAUNCHER_SYS_H
#define LAUNCHER_SYS_H

#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/types.h>

/* clone3(2). The child runs on a copy of the caller's stack, as after fork(2). */
pid_t sys_clone3(struct clone_args *args);

/* openat2(2), Linux 5.6. */
int sys_openat2(int dir_fd, const char *path, const struct open_how *how);

/* Opens `path` (relative to `dir_fd`) for writing, writes `text` in one write(2), closes it. */
int sys_write_file(int dir_fd, const char *path, const char *text);

/*
 * Reads a small kernel file in one read(2) into `text` and terminates it with a NUL.
 * Returns its length, cut at size - 1.
 */
ssize_t sys_read_file(int dir_fd, const char *path, char *text, size_t size);

#endif
