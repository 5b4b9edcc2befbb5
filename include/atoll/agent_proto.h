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
    AGENT_MODE_MAX = 07777,          /* of a file */
    AGENT_USER_MAX = 64,             /* a user's name, or "uid:gid" */
    AGENT_PEERS_MAX = 256,           /* connections at once; more wait in the backlog */
    AGENT_PROCESSES_MAX = 256,       /* processes that were started and not forgotten */
    AGENT_RETRIES_MAX = 1000,
    AGENT_OUTPUT_MAX = 32 * 1024,             /* output bytes of one OUTPUT */
    AGENT_SIGNAL_MAX = 64,                    /* kernel: _NSIG */
    AGENT_TREE_DEPTH_MAX = 64,                /* levels of folders that FOLDER and COPY descend */
    AGENT_LIST_MAX = 10001,                   /* entries of one FOLDER */
    AGENT_LIST_BYTES_MAX = 8 * 1024 * 1024,   /* that the host takes of them, as they are sent */
    AGENT_SEARCH_MATCHES_MAX = 10000,         /* of one SEARCH */
    AGENT_SEARCH_BYTES_MAX = 8 * 1024 * 1024, /* of all its matches, as they are sent */
    AGENT_SEARCH_TEXT_MAX = 1024,             /* of a line in MATCH, the zero byte included */
    AGENT_SEARCH_MS_MAX = 60 * 1000,
    AGENT_WATCHES_MAX = 16,              /* WATCHes at once */
    AGENT_WATCH_FOLDERS_MAX = 16 * 1024, /* folders of one WATCH */
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
    X(AGENT_FRAME_START, 8, "request",                                                             \
      "start a process that outlives the connection; continued by MORE")                           \
    X(AGENT_FRAME_LIST, 9, "request", "all processes: a PROCESS each, then DONE")                  \
    X(AGENT_FRAME_SIGNAL, 10, "request", "send a signal to a process, its group or its tree")      \
    X(AGENT_FRAME_INPUT, 11, "request", "bytes for a process's stdin: then DATA, then END")        \
    X(AGENT_FRAME_RESIZE, 12, "request", "change the size of a process's terminal")                \
    X(AGENT_FRAME_WAIT, 13, "request", "answered by PROCESS when it has ended, or at a timeout")   \
    X(AGENT_FRAME_ATTACH, 14, "request",                                                           \
      "a process's output from an offset on: PROCESS, OUTPUT..., PROCESS")                         \
    X(AGENT_FRAME_FORGET, 15, "request", "drop a process that has ended")                          \
    X(AGENT_FRAME_STOP, 16, "request", "end all that runs: answered as LIST when it has ended")    \
    X(AGENT_FRAME_STDOUT, 17, "reply", "exec: raw bytes")                                          \
    X(AGENT_FRAME_STDERR, 18, "reply", "exec: raw bytes")                                          \
    X(AGENT_FRAME_EXIT, 19, "reply", "exec: the real wait status, and the end of the operation")   \
    X(AGENT_FRAME_DONE, 20, "reply", "the operation succeeded: a number")                          \
    X(AGENT_FRAME_ERROR, 21, "reply", "the operation failed: stage and errno")                     \
    X(AGENT_FRAME_PROCESS, 22, "reply, log", "what is known of a process")                         \
    X(AGENT_FRAME_OUTPUT, 23, "reply, log", "bytes that a process wrote, and their offsets")       \
    X(AGENT_FRAME_LOG, 24, "log", "the head of a file of a log")                                   \
    X(AGENT_FRAME_ENTRY, 25, "reply", "what is known of a file")                                   \
    X(AGENT_FRAME_CHANGE, 28, "reply", "what has changed in a watched folder")                     \
    X(AGENT_FRAME_MATCH, 29, "reply", "a file, or a line of one, that was searched for")           \
    X(AGENT_FRAME_FOUND, 30, "reply", "search: how complete it is, and the end of the operation")  \
    X(AGENT_FRAME_STAT, 32, "request", "what is known of a file: ENTRY, then DONE")                \
    X(AGENT_FRAME_FOLDER, 33, "request", "what is in a folder: ENTRY..., then DONE")               \
    X(AGENT_FRAME_MKDIR, 34, "request", "make a folder")                                           \
    X(AGENT_FRAME_REMOVE, 35, "request", "remove a file, or a folder with all that is in it")      \
    X(AGENT_FRAME_MOVE, 36, "request", "give a file or folder another path")                       \
    X(AGENT_FRAME_COPY, 37, "request", "copy a file, or a folder with all that is in it")          \
    X(AGENT_FRAME_CHMOD, 38, "request", "change a file's mode")                                    \
    X(AGENT_FRAME_DISK, 39, "request", "what the writable layer holds; answered by DONE: bytes")   \
    X(AGENT_FRAME_WATCH, 48, "request", "what changes in a folder: CHANGE..., then DONE")          \
    X(AGENT_FRAME_SEARCH, 49, "request", "files by name and content: MATCH..., then FOUND")

enum agent_frame_type {
#define AGENT_FRAME_ENUM(symbol, value, direction, meaning) symbol = (value),
    AGENT_FRAMES(AGENT_FRAME_ENUM)
#undef AGENT_FRAME_ENUM
};

/* Flags of EXEC. */
enum {
    AGENT_EXEC_STDIN = 1,          /* DATA and END follow; else stdin is /dev/null */
    AGENT_EXEC_KILL_LEFTOVERS = 2, /* what the command left running dies before EXIT is sent */
    /* argv[0] is only a name: what runs is the archive program that the agent was handed. */
    AGENT_EXEC_ARCHIVE = 4,
    AGENT_EXEC_FLAGS = 7,
};

/* Flags of EXIT. */
enum {
    AGENT_EXIT_TIMED_OUT = 1,
    AGENT_EXIT_STDOUT_TRUNCATED = 2,
    AGENT_EXIT_STDERR_TRUNCATED = 4,
    AGENT_EXIT_FLAGS = 7,
};

/* Flags of START. */
enum {
    AGENT_START_STDIN = 1,          /* stdin is a pipe, for INPUT; else /dev/null */
    AGENT_START_TERMINAL = 2,       /* 0-2 are a terminal; INPUT is what is typed */
    AGENT_START_KILL_LEFTOVERS = 4, /* what the process left running dies before its end is told */
    AGENT_START_FLAGS = 7,
};

/* Bounds of a log, in START. A log keeps at least half of its limits, never more than the whole. */
#define AGENT_LOG_BYTES_MIN (UINT64_C(128) << 10)
#define AGENT_LOG_BYTES_MAX (UINT64_C(256) << 20)
/* Of all logs of one agent together. Each log may always have AGENT_LOG_BYTES_MIN of them. */
#define AGENT_LOGS_BYTES_MAX (UINT64_C(1) << 30)
enum {
    AGENT_LOG_LINES_MIN = 2,
    AGENT_LOG_LINES_MAX = 1000 * 1000 * 1000,
};

/* Whom SIGNAL means. */
enum agent_signal_target {
    AGENT_SIGNAL_PROCESS = 0,
    AGENT_SIGNAL_GROUP = 1, /* the process group that it was started as the leader of */
    AGENT_SIGNAL_TREE = 2,  /* all that descends from it, also when itself has ended */
    AGENT_SIGNAL_TARGETS = 3,
};

/* Flags of SIGNAL. */
enum {
    AGENT_SIGNAL_FINAL = 1, /* it is not started again, however often START allows that */
    AGENT_SIGNAL_FLAGS = 1,
};

/* Flags of INPUT. */
enum {
    AGENT_INPUT_CLOSE = 1, /* stdin is closed after the bytes */
    AGENT_INPUT_FLAGS = 1,
};

/* Flags of ATTACH. */
enum {
    AGENT_ATTACH_FOLLOW = 1, /* go on until the process has ended */
    AGENT_ATTACH_NO_STDOUT = 2,
    AGENT_ATTACH_NO_STDERR = 4,
    AGENT_ATTACH_FLAGS = 7,
};

/* The offset of ATTACH that means: only what is written from now on. */
#define AGENT_ATTACH_END UINT64_MAX

/* Flags of FORGET. */
enum {
    AGENT_FORGET_REMOVE_LOG = 1, /* else the log stays for whoever reads it from outside */
    AGENT_FORGET_FLAGS = 1,
};

/* X(symbol, value, meaning): the state in PROCESS */
#define AGENT_PROCESS_STATES(X)                                                                    \
    X(AGENT_PROCESS_RUNNING, 1, "runs")                                                            \
    X(AGENT_PROCESS_RESTARTING, 2, "has failed and will be started again")                         \
    X(AGENT_PROCESS_ENDED, 3, "has ended; the status is the real one")

enum agent_process_state {
#define AGENT_PROCESS_STATE_ENUM(symbol, value, meaning) symbol = (value),
    AGENT_PROCESS_STATES(AGENT_PROCESS_STATE_ENUM)
#undef AGENT_PROCESS_STATE_ENUM
};

/* Flags of PROCESS. */
enum {
    AGENT_PROCESS_TIMED_OUT = 1,
    AGENT_PROCESS_TRUNCATED = 2, /* the oldest output was dropped */
    AGENT_PROCESS_LOST = 4,      /* output could not be written to the log; offsets count it */
    AGENT_PROCESS_TERMINAL = 8,
    AGENT_PROCESS_INPUT = 16, /* takes INPUT */
    AGENT_PROCESS_FLAGS = 31,
};

/* The stream of OUTPUT. A terminal's output is stdout. */
enum agent_stream {
    AGENT_STREAM_STDOUT = 1,
    AGENT_STREAM_STDERR = 2,
};

enum { AGENT_LOG_VERSION = 1 }; /* of the log files */

/* Flags of WRITE. */
enum {
    /* Written with the authority of the sandbox's root, then given to the owner; else the owner's
     * own rights decide. */
    AGENT_WRITE_PRIVILEGED = 1,
    AGENT_WRITE_DESCRIBE = 2, /* an ENTRY of the written file comes before DONE */
    AGENT_WRITE_ABSENT = 4,   /* only if nothing is at the path; else ESTALE */
    AGENT_WRITE_MATCH = 8,    /* only instead of the file that the request describes; else ESTALE */
    AGENT_WRITE_KEEP_MODE = 16, /* a regular file that is there keeps its nine lowest bits */
    AGENT_WRITE_FLAGS = 31,
};

/* Flags of READ. */
enum {
    AGENT_READ_DESCRIBE = 1, /* an ENTRY of the opened file comes before its bytes */
    AGENT_READ_FLAGS = 1,
};

/* Flags of the requests of AGENT_FILE_REQUESTS. */
enum {
    AGENT_FILE_FOLLOW = 1,    /* STAT: of what a link at the end of the path leads to */
    AGENT_FILE_PARENTS = 2,   /* MKDIR: also what is missing above; what is there is no error */
    AGENT_FILE_RECURSIVE = 4, /* REMOVE, COPY, WATCH: a folder with all that is in it */
    AGENT_FILE_REPLACE = 8,   /* MOVE, COPY: what is at the target, unless a folder with content */
    AGENT_FILE_SKIP = 16, /* FOLDER: not the first entries, whose number (u64) ends the payload */
};

/*
 * X(frame, flags that it takes, largest `number`, largest `limit`, whether it has a target): what
 * the requests that share one payload allow in it.
 */
#define AGENT_FILE_REQUESTS(X)                                                                     \
    X(AGENT_FRAME_STAT, AGENT_FILE_FOLLOW, 0, 0, false)                                            \
    X(AGENT_FRAME_FOLDER, AGENT_FILE_SKIP, AGENT_TREE_DEPTH_MAX, AGENT_LIST_MAX,                   \
      false)                                                           /* depth, entries */        \
    X(AGENT_FRAME_MKDIR, AGENT_FILE_PARENTS, AGENT_MODE_MAX, 0, false) /* mode */                  \
    X(AGENT_FRAME_REMOVE, AGENT_FILE_RECURSIVE, 0, 0, false)                                       \
    X(AGENT_FRAME_MOVE, AGENT_FILE_REPLACE, 0, 0, true)                                            \
    X(AGENT_FRAME_COPY, AGENT_FILE_RECURSIVE | AGENT_FILE_REPLACE, 0, 0, true)                     \
    X(AGENT_FRAME_CHMOD, 0, AGENT_MODE_MAX, 0, false) /* mode */                                   \
    X(AGENT_FRAME_WATCH, AGENT_FILE_RECURSIVE, 0, 0, false)

/* X(symbol, value, word): the kind of CHANGE */
#define AGENT_CHANGE_KINDS(X)                                                                      \
    X(AGENT_CHANGE_READY, 1, "ready") /* all folders are watched from here on */                   \
    X(AGENT_CHANGE_CREATE, 2, "create")                                                            \
    X(AGENT_CHANGE_MODIFY, 3, "modify")                                                            \
    X(AGENT_CHANGE_DELETE, 4, "delete")                                                            \
    X(AGENT_CHANGE_MOVE, 5, "move")                                                                \
    X(AGENT_CHANGE_ATTRIB, 6, "attrib")                                                            \
    X(AGENT_CHANGE_OVERFLOW, 7, "overflow") /* changes before it were not told */

enum agent_change_kind {
#define AGENT_CHANGE_KIND_ENUM(symbol, value, word) symbol = (value),
    AGENT_CHANGE_KINDS(AGENT_CHANGE_KIND_ENUM)
#undef AGENT_CHANGE_KIND_ENUM
};

/* Flags of SEARCH. */
enum {
    AGENT_SEARCH_CONTENT = 1,     /* lines with the content are wanted; else names */
    AGENT_SEARCH_REGEX = 2,       /* the content is an extended regular expression */
    AGENT_SEARCH_IGNORE_CASE = 4, /* of ASCII */
    AGENT_SEARCH_FLAGS = 7,
};

/* Flags of MATCH. */
enum {
    AGENT_MATCH_CUT = 1, /* the text is a part of the line */
    AGENT_MATCH_FLAGS = 1,
};

/* Flags of FOUND. */
enum {
    AGENT_FOUND_LIMIT = 1, /* there may be more: so many were told */
    AGENT_FOUND_TIME = 2,  /* there may be more: the time is over */
    AGENT_FOUND_FLAGS = 3,
};

/* Flags of CHANGE. */
enum {
    AGENT_CHANGE_FOLDER = 1,    /* it is a folder */
    AGENT_CHANGE_UNWATCHED = 2, /* OVERFLOW: the folder at the path is not watched, by a bound */
    AGENT_CHANGE_FLAGS = 3,
};

/* X(symbol, value, word): the type in ENTRY */
#define AGENT_FILE_TYPES(X)                                                                        \
    X(AGENT_FILE_REGULAR, 1, "file")                                                               \
    X(AGENT_FILE_FOLDER, 2, "folder")                                                              \
    X(AGENT_FILE_LINK, 3, "link")                                                                  \
    X(AGENT_FILE_FIFO, 4, "fifo")                                                                  \
    X(AGENT_FILE_SOCKET, 5, "socket")                                                              \
    X(AGENT_FILE_DEVICE, 6, "device")

enum agent_file_type {
#define AGENT_FILE_TYPE_ENUM(symbol, value, word) symbol = (value),
    AGENT_FILE_TYPES(AGENT_FILE_TYPE_ENUM)
#undef AGENT_FILE_TYPE_ENUM
};

/* X(symbol, value, what could not be done): the stage of ERROR */
#define AGENT_STAGES(X)                                                                            \
    X(AGENT_STAGE_REQUEST, 1, "the request was refused")                                           \
    X(AGENT_STAGE_USER, 2, "the user cannot be found in the sandbox")                              \
    X(AGENT_STAGE_PROCESS, 3, "no process could be made")                                          \
    X(AGENT_STAGE_IDENTITY, 4, "the process could not become the user")                            \
    X(AGENT_STAGE_CWD, 5, "the working directory cannot be entered")                               \
    X(AGENT_STAGE_EXEC, 6, "the command cannot be executed")                                       \
    X(AGENT_STAGE_FILE, 7, "the file cannot be used")                                              \
    X(AGENT_STAGE_TABLE, 8, "the process cannot be found or kept")                                 \
    X(AGENT_STAGE_LOG, 9, "the log cannot be used")                                                \
    X(AGENT_STAGE_INPUT, 10, "the process takes no such input")                                    \
    X(AGENT_STAGE_SIGNAL, 11, "the signal cannot be sent")                                         \
    X(AGENT_STAGE_STOPPING, 12, "the sandbox is being stopped")                                    \
    X(AGENT_STAGE_WATCH, 13, "the folder cannot be watched")                                       \
    X(AGENT_STAGE_TARGET, 14, "the target cannot be used")

enum agent_stage {
#define AGENT_STAGE_ENUM(symbol, value, meaning) symbol = (value),
    AGENT_STAGES(AGENT_STAGE_ENUM)
#undef AGENT_STAGE_ENUM
};

/* The descriptors that the launcher hands to the agent at its exec. Everything else is closed. */
enum {
    AGENT_FD_LISTEN = 3,  /* the listening socket */
    AGENT_FD_LOGS = 4,    /* the log folder, or absent */
    AGENT_FD_ARCHIVE = 5, /* the program of EXEC's flag ARCHIVE, or absent */
    AGENT_FD_LAST = AGENT_FD_ARCHIVE,
};

#endif
