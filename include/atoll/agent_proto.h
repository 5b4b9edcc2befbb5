/*
 * The agent's wire contract, version 1. docs/agent-protocol.md is its prose; lib/agentproto has
 * the code that both sides use.
 *
 * A connection to the agent's unix stream socket carries operations one after another; they may be
 * sent without waiting for the answers, which come in order. Everything is frames:
 *
 *     0      4      5      6        8
 *     | size | type | vers | zero   | payload (size bytes) |
 *
 * little-endian, size at most AGENT_FRAME_MAX. A frame that breaks a rule ends the connection. Both
 * sides treat the other as hostile: every length is checked before it is used, every field is
 * bounded, nothing is allocated on the word of a length alone.
 *
 * Payloads of control frames are built from u32, u64 and strings (u32 length, the bytes, and a zero
 * byte that the length does not count; no other zero byte). Payloads of data frames are raw bytes.
 */
#ifndef ATOLL_AGENT_PROTO_H
#define ATOLL_AGENT_PROTO_H

#include <stdint.h>

#define AGENT_PROTO_VERSION 1u

enum {
    AGENT_HEADER_SIZE = 8,
    AGENT_FRAME_MAX = 64 * 1024,     /* payload of one frame */
    AGENT_ARGS_MAX = 1024,           /* strings in argv, and in env */
    AGENT_STRING_MAX = 128 * 1024,   /* kernel: MAX_ARG_STRLEN, the zero byte included */
    AGENT_REQUEST_MAX = 1024 * 1024, /* all control bytes of one request */
    AGENT_PATH_MAX = 4096,           /* kernel: PATH_MAX, the zero byte included */
    AGENT_USER_MAX = 64,             /* a user's name, or "uid:gid" */
    AGENT_PEERS_MAX = 64,            /* connections at once; more wait in the backlog */
};

/* X(symbol, value, direction, meaning) */
#define AGENT_FRAMES(X)                                                                            \
    X(AGENT_FRAME_PING, 1, "request", "is the agent there; answered by DONE")                      \
    X(AGENT_FRAME_EXEC, 2, "request",                                                              \
      "run a command; continued by MORE until the request is whole")                               \
    X(AGENT_FRAME_WRITE, 3, "request", "write a file: path, mode, owner; then DATA, then END")     \
    X(AGENT_FRAME_READ, 4, "request", "read a file: path, offset, limit; answered by DATA, DONE")  \
    X(AGENT_FRAME_MORE, 5, "request", "next piece of an EXEC over one frame")                      \
    X(AGENT_FRAME_DATA, 6, "both", "raw bytes: stdin of an exec, content of a file")               \
    X(AGENT_FRAME_END, 7, "request", "no more DATA")                                               \
    X(AGENT_FRAME_STDOUT, 17, "reply", "exec: raw bytes")                                          \
    X(AGENT_FRAME_STDERR, 18, "reply", "exec: raw bytes")                                          \
    X(AGENT_FRAME_EXIT, 19, "reply", "exec: the real wait status, and the end of the operation")   \
    X(AGENT_FRAME_DONE, 20, "reply", "the operation succeeded: a number")                          \
    X(AGENT_FRAME_ERROR, 21, "reply", "the operation failed: stage and errno")

enum agent_frame_type {
#define AGENT_FRAME_ENUM(symbol, value, direction, meaning) symbol = (value),
    AGENT_FRAMES(AGENT_FRAME_ENUM)
#undef AGENT_FRAME_ENUM
};

/* Flags of EXEC. */
enum {
    AGENT_EXEC_STDIN = 1,          /* DATA and END follow; else stdin is /dev/null */
    AGENT_EXEC_KILL_LEFTOVERS = 2, /* what the command left running dies before EXIT is sent */
    AGENT_EXEC_AFTER_SUCCESS =
        4, /* ECANCELED if an operation before it on this connection failed */
    AGENT_EXEC_FLAGS = 3,
};

/* Flags of EXIT. */
enum {
    AGENT_EXIT_TIMED_OUT = 1,
    AGENT_EXIT_STDOUT_TRUNCATED = 2,
    AGENT_EXIT_STDERR_TRUNCATED = 4,
    AGENT_EXIT_FLAGS = 7,
};

/* Flags of WRITE. */
enum {
    /* Written with the authority of the sandbox's root, then given to the owner; else the owner's
     * own rights decide. */
    AGENT_WRITE_PRIVILEGED = 1,
    AGENT_WRITE_FLAGS = 1,
};

/* X(symbol, value, what could not be done): the stage of ERROR */
#define AGENT_STAGES(X)                                                                            \
    X(AGENT_STAGE_REQUEST, 1, "the request was refused")                                           \
    X(AGENT_STAGE_USER, 2, "the user cannot be found in the sandbox")                              \
    X(AGENT_STAGE_PROCESS, 3, "no process could be made")                                          \
    X(AGENT_STAGE_IDENTITY, 4, "the process could not become the user")                            \
    X(AGENT_STAGE_CWD, 5, "the working directory cannot be entered")                               \
    X(AGENT_STAGE_EXEC, 6, "the command cannot be executed")                                       \
    X(AGENT_STAGE_FILE, 7, "the file cannot be used")

enum agent_stage {
#define AGENT_STAGE_ENUM(symbol, value, meaning) symbol = (value),
    AGENT_STAGES(AGENT_STAGE_ENUM)
#undef AGENT_STAGE_ENUM
};

/* The descriptors that the launcher hands to the agent at its exec. Everything else is closed. */
enum {
    AGENT_FD_LISTEN = 3, /* the listening socket */
    AGENT_FD_LOGS = 4,   /* the log folder, or absent */
};

#endif
