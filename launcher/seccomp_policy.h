/*
 * The system-call policy as data. Everything that no row names is answered with ENOSYS, so that
 * programs fall back as they do on an older kernel; foreign ABIs (i386, x32) kill the process.
 * docs/launcher.md explains the choices.
 */
#ifndef LAUNCHER_SECCOMP_POLICY_H
#define LAUNCHER_SECCOMP_POLICY_H

#include <stddef.h>

/* Where a row applies. */
enum {
    SECCOMP_STRICT = 1,
    SECCOMP_DEV = 2,
    SECCOMP_LAUNCHER = 4,
    SECCOMP_SANDBOX = SECCOMP_STRICT | SECCOMP_DEV,
    SECCOMP_ALL = SECCOMP_SANDBOX | SECCOMP_LAUNCHER,
};

struct seccomp_row {
    const char *name; /* of the system call; unknown to this machine: skipped */
    unsigned scope;   /* the programs whose filter has the row */
};

extern const struct seccomp_row seccomp_allowed[];
extern const size_t seccomp_allowed_count;

/* Answered with EPERM rather than ENOSYS: programs know how to take that from these calls. */
extern const struct seccomp_row seccomp_refused[];
extern const size_t seccomp_refused_count;

/* Socket families that a sandbox may have; AF_NETLINK besides, with the protocol NETLINK_ROUTE. */
extern const int seccomp_families[];
extern const size_t seccomp_families_count;

/* clone(2) flags that make a namespace: EPERM. */
extern const unsigned seccomp_clone_refused[];
extern const size_t seccomp_clone_refused_count;

/* ioctl(2) requests that inject input into a terminal (CVE-2017-5226 class): EPERM. */
extern const unsigned seccomp_ioctl_refused[];
extern const size_t seccomp_ioctl_refused_count;

/*
 * setsockopt(2) options of the level SOL_SOCKET that load a program of BPF: EPERM. What the kernel
 * translates of these has one bound for the whole host (net.core.bpf_jit_limit), and without room
 * in it the launcher could load no filter.
 */
extern const int seccomp_socket_options_refused[];
extern const size_t seccomp_socket_options_refused_count;

#endif
