/*
 * System-call filters: BPF programs of the policy (seccomp_policy.c), built once, at the start.
 * Each sandbox loads the same ready program.
 */
#ifndef LAUNCHER_SECCOMP_H
#define LAUNCHER_SECCOMP_H

#include <atoll/error.h>
#include <linux/filter.h>

struct seccomp_program {
    struct sock_fprog code; /* code.filter is allocated; lives as long as the launcher */
};

/* The filter of a sandbox with this enum launcher_profile. */
int seccomp_build_sandbox(unsigned profile, struct seccomp_program *ret_program, struct error *err);

/* The filter of the launcher: what a sandbox may, and what making sandboxes takes. */
int seccomp_build_launcher(struct seccomp_program *ret_program, struct error *err);

/* Loads it for the calling thread. Needs no_new_privs or CAP_SYS_ADMIN. -1 and errno. */
int seccomp_load_program(const struct seccomp_program *program);

void seccomp_program_free(struct seccomp_program *program);

#endif
