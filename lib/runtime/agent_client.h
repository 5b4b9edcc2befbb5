/*
 * The host's side of the agent's protocol (docs/agent-protocol.md): files and commands of one
 * sandbox over one connection.
 *
 * Calls block the calling thread until the answer is whole or the deadline (CLOCK_MONOTONIC,
 * microseconds) has passed. A client belongs to one thread at a time. The agent is hostile: what it
 * sends is bounded by what was asked for, and whatever breaks the protocol is an error.
 *
 * Errors: ERR_UNAVAILABLE when the agent cannot be reached, ended early or was not done by the
 * deadline (but see `overdue` below); ERR_INTERNAL when it broke the protocol; others are the
 * agent's answer (a missing program, a full disk), after which the connection can be used further.
 */
#ifndef LIB_RUNTIME_AGENT_CLIENT_H
#define LIB_RUNTIME_AGENT_CLIENT_H

#include <atoll/cleanup.h>
#include <atoll/error.h>
#include <atoll/sandbox.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct agent_client;

/* Whose the written files are. */
struct agent_owner {
    const char *user; /* a name inside the sandbox, or "uid:gid" */
    bool privileged;  /* write where only the sandbox's root may, then give the file to `user` */
};

/* A command. Borrowed for the call. */
struct agent_exec_request {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in the PATH of `env` */
    const char *const *env;  /* NULL-terminated, "NAME=value" */
    const char *cwd;         /* absolute */
    const char *user;        /* a name inside the sandbox, or "uid:gid" */
    const void *stdin_data;  /* NULL: the command reads /dev/null */
    size_t stdin_size;
    uint32_t timeout_ms; /* 0: none but the call's deadline */
    uint32_t grace_ms;   /* from TERM to KILL at the timeout */
    uint64_t max_output; /* bytes kept of each of stdout and stderr */
    /* Asked for the memory of so many more bytes of output; where it refuses, the call fails with
     * ERR_INSUFFICIENT_STORAGE and the command is killed. NULL: the memory is there. */
    bool (*take_memory)(void *user, size_t size);
    void *memory_user;
    bool kill_leftovers; /* what the command left running dies before the call returns */
    /* Called when the command is not over after so long, and so long after each call again until
     * it returns true; what it takes is added to the call's deadline. NULL: nobody wants to know.
     */
    bool (*on_slow)(void *user);
    void *slow_user;
    uint32_t slow_ms;
};

struct agent_exec_result {
    char *out; /* `out_size` bytes and a NUL, any bytes; owned, like `err` */
    size_t out_size;
    char *err;
    size_t err_size;
    /* The call's deadline passed before the command's end was told: the output is what had come by
     * then, there is no exit code, signal or usage, and the connection is of no further use. */
    bool overdue;
    int exit_code; /* 0..255, or -1 when a signal ended the command */
    int signal;    /* or 0 */
    bool timed_out;
    bool out_truncated;
    bool err_truncated;
    uint64_t wall_usec; /* from fork to the exit, as the agent measured it; claims of the sandbox */
    uint64_t user_usec;
    uint64_t system_usec;
    uint64_t max_rss_bytes;
};

/* Connects to the agent that listens at `path`; free with agent_client_free. */
int agent_client_connect(const char *path, int64_t deadline_usec, struct agent_client **ret_client,
                         struct error *err);

/* Makes a client of a connected stream socket, which becomes the client's even on failure. */
int agent_client_adopt(int fd, struct agent_client **ret_client, struct error *err);

void agent_client_free(struct agent_client *client);

DEFINE_CLEANUP(struct agent_client *, agent_client, agent_client_free)
#define _cleanup_agent_client_ _cleanup_(cleanup_agent_client)

/* True when the agent closed the connection before it had answered: the sandbox ended. */
bool agent_client_lost(const struct agent_client *client);

/* True when the agent still listens and nothing is under way: the next call starts afresh. */
bool agent_client_idle(const struct agent_client *client);

/* Runs a command; free the result with agent_exec_result_free. Where it is overdue, freeing the
 * client tells the agent to kill the command. */
int agent_client_exec(struct agent_client *client, const struct agent_exec_request *request,
                      int64_t deadline_usec, struct agent_exec_result *ret_result,
                      struct error *err);

/*
 * Writes files, then runs a command if all were written: one message to the agent and its answers,
 * without a round trip between them.
 */
int agent_client_run(struct agent_client *client, const struct sandbox_files *files,
                     const struct agent_owner *owner, const struct agent_exec_request *request,
                     int64_t deadline_usec, struct agent_exec_result *ret_result,
                     struct error *err);

/* Accepts a zeroed result. */
void agent_exec_result_free(struct agent_exec_result *result);

#endif
