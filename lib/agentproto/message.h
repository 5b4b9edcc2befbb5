/*
 * The control payloads of the agent's protocol: one struct, one encoder and one decoder each.
 *
 * Encoders return the size of the payload, or 0 when it does not fit `capacity` (no payload has
 * size 0). Decoders check every bound of include/atoll/agent_proto.h and return false for a payload
 * that breaks one; the strings they give are views into the payload.
 */
#ifndef LIB_AGENTPROTO_MESSAGE_H
#define LIB_AGENTPROTO_MESSAGE_H

#include <atoll/agent_proto.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* EXEC. Its payload starts with its own whole size (u32), by which MORE frames are joined. */
struct agent_exec_message {
    uint32_t flags;      /* AGENT_EXEC_* */
    uint32_t after;      /* ECANCELED unless so many operations before it succeeded in a row */
    uint32_t timeout_ms; /* TERM to the command's whole tree after this; 0: never */
    uint32_t grace_ms;   /* KILL after so long more */
    uint64_t max_output; /* bytes kept of each of stdout and stderr */
    const char *cwd;     /* absolute */
    const char *user;    /* a name of the sandbox's /etc/passwd, or "uid:gid" */
    uint32_t argc;       /* 1..AGENT_ARGS_MAX */
    uint32_t envc;       /* 0..AGENT_ARGS_MAX */
    const char **argv;   /* decoder: room for AGENT_ARGS_MAX + 1; NULL-terminated by it */
    const char **env;    /* likewise; each "NAME=value" */
};

struct agent_write_message {
    uint32_t flags; /* AGENT_WRITE_* */
    uint32_t mode;  /* at most 07777 */
    const char *owner;
    const char *path; /* absolute */
};

struct agent_read_message {
    uint64_t offset;
    uint64_t limit; /* most bytes to send */
    const char *user;
    const char *path;
};

/* EXIT. Times in microseconds; `status` as wait(2) gave it. */
struct agent_exit_message {
    uint32_t status;
    uint32_t flags; /* AGENT_EXIT_* */
    uint64_t wall_usec;
    uint64_t user_usec;
    uint64_t system_usec;
    uint64_t max_rss_bytes;
};

struct agent_error_message {
    uint32_t stage; /* enum agent_stage */
    uint32_t errnum;
};

/* The size in bytes that agent_exec_encode will need; 0 when it is over AGENT_REQUEST_MAX. */
size_t agent_exec_size(const struct agent_exec_message *message);
size_t agent_exec_encode(const struct agent_exec_message *message, uint8_t *data, size_t capacity);
size_t agent_write_encode(const struct agent_write_message *message, uint8_t *data,
                          size_t capacity);
size_t agent_read_encode(const struct agent_read_message *message, uint8_t *data, size_t capacity);
size_t agent_exit_encode(const struct agent_exit_message *message, uint8_t *data, size_t capacity);
size_t agent_done_encode(uint64_t value, uint8_t *data, size_t capacity);
size_t agent_error_encode(const struct agent_error_message *message, uint8_t *data,
                          size_t capacity);

/* `message->argv` and `message->env` must point to the caller's arrays. */
bool agent_exec_decode(const uint8_t *data, size_t size, struct agent_exec_message *message);
bool agent_write_decode(const uint8_t *data, size_t size, struct agent_write_message *message);
bool agent_read_decode(const uint8_t *data, size_t size, struct agent_read_message *message);
bool agent_exit_decode(const uint8_t *data, size_t size, struct agent_exit_message *message);
bool agent_done_decode(const uint8_t *data, size_t size, uint64_t *ret_value);
bool agent_error_decode(const uint8_t *data, size_t size, struct agent_error_message *message);

#endif
