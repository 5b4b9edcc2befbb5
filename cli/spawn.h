/*
 * Child processes of the CLI: the services under `atoll dev`, and the tools that images and the
 * private database need.
 *
 * A child starts with an empty signal mask, /dev/null as its input, no descriptor but 0-2 and "/"
 * as its folder. The binary is opened before privileges are dropped, so that a child may run a
 * binary that its user could not reach by path.
 */
#ifndef CLI_SPAWN_H
#define CLI_SPAWN_H

#include "cli/identity.h"

struct spawn {
    const char *path;                /* of the binary, absolute */
    const char *const *argv;         /* NULL-terminated */
    char *const *environment;        /* NULL-terminated; NULL: this process's own */
    const struct identity *identity; /* whom to become, with no_new_privs; NULL: nobody else */
    int input;                       /* descriptor for standard input; -1: /dev/null */
    int output;                      /* descriptor for standard output and error; -1: inherited */
    int death_signal;                /* sent by the kernel when this process dies */
    bool own_group;      /* a process group of its own: the terminal's Ctrl-C stays ours */
    bool private_mounts; /* a mount namespace of its own, when the host allows it */
    const int *keep_fd;  /* a descriptor that stays open under its number; NULL: none */
};

/* Starts the child; *ret_pidfd becomes readable when it ends and is the caller's to close. */
int spawn_start(const struct spawn *spawn, pid_t *ret_pid, int *ret_pidfd, struct error *err);

/* Waits for the end. *ret_status is as waitpid(2) gives it. */
int spawn_reap(pid_t pid, int *ret_status, struct error *err);

/* "exit code 1" or "signal 9 (Killed)". */
const char *spawn_status_text(int status, char text[static 64]);

/* Finds a tool in the folders of Debian's default PATH; 0, or -1 with a message naming it. */
int spawn_find_tool(const char *name, char path[static 64], struct error *err);

/* Runs argv[0], found by spawn_find_tool, as this user to its end. A failure is an error. */
int spawn_tool(const char *const *argv, struct error *err);

#endif
