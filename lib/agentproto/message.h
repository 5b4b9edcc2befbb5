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
#include <atoll/id.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is to be executed, and as whom. */
struct agent_command {
    const char *cwd;   /* absolute */
    const char *user;  /* a name of the sandbox's /etc/passwd, or "uid:gid" */
    uint32_t argc;     /* 1..AGENT_ARGS_MAX */
    uint32_t envc;     /* 0..AGENT_ARGS_MAX */
    const char **argv; /* decoder: room for AGENT_ARGS_MAX + 1; NULL-terminated by it */
    const char **env;  /* likewise; each "NAME=value" */
};

/* EXEC. Its payload starts with its own whole size (u32), by which MORE frames are joined. */
struct agent_exec_message {
    uint32_t flags;      /* AGENT_EXEC_* */
    uint32_t after;      /* ECANCELED unless so many operations before it succeeded in a row */
    uint32_t timeout_ms; /* TERM to the command's whole tree after this; 0: never */
    uint32_t grace_ms;   /* KILL after so long more */
    uint64_t max_output; /* bytes kept of each of stdout and stderr */
    struct agent_command command;
};

/* START. Its payload starts with its own whole size, as that of EXEC. */
struct agent_start_message {
    struct id id;
    uint32_t flags;      /* AGENT_START_* */
    uint32_t timeout_ms; /* of each attempt: TERM to the whole tree after this; 0: never */
    uint32_t grace_ms;   /* KILL after so long more */
    uint32_t retries;    /* it is started so often again when it fails; at most AGENT_RETRIES_MAX */
    uint32_t backoff_ms; /* before the first of them; doubles each time */
    uint32_t rows;       /* of the terminal; at most UINT16_MAX */
    uint32_t columns;
    uint32_t log_lines; /* AGENT_LOG_LINES_MIN..MAX */
    uint64_t log_bytes; /* AGENT_LOG_BYTES_MIN..MAX, on disk */
    struct agent_command command;
};

struct agent_signal_message {
    struct id id;
    uint32_t signal; /* 1..AGENT_SIGNAL_MAX */
    uint32_t target; /* enum agent_signal_target */
    uint32_t flags;  /* AGENT_SIGNAL_FINAL */
};

struct agent_input_message {
    struct id id;
    uint32_t flags; /* AGENT_INPUT_* */
};

struct agent_resize_message {
    struct id id;
    uint32_t rows; /* at most UINT16_MAX, like columns */
    uint32_t columns;
};

struct agent_wait_message {
    struct id id;
    uint32_t timeout_ms; /* 0: answer at once; UINT32_MAX: no timeout */
};

struct agent_attach_message {
    struct id id;
    uint32_t flags;  /* AGENT_ATTACH_* */
    uint64_t offset; /* of the first byte wanted, or AGENT_ATTACH_END */
};

struct agent_forget_message {
    struct id id;
    uint32_t flags; /* AGENT_FORGET_* */
};

struct agent_stop_message {
    uint32_t grace_ms; /* from TERM to KILL; 0: KILL at once */
};

/* PROCESS. Offsets count the bytes of both streams in the order of their arrival. */
struct agent_process_message {
    struct id id;
    uint32_t state; /* enum agent_process_state */
    uint32_t flags; /* AGENT_PROCESS_* */
    uint32_t pid;   /* inside the sandbox; of the last attempt */
    uint32_t attempts;
    uint32_t status;       /* of the last attempt that ended, as wait(2) gave it */
    uint32_t errnum;       /* why a later attempt did not come to its program; 0: it did */
    uint64_t started_usec; /* Unix time of the first attempt */
    uint64_t ended_usec;   /* Unix time of the end of the last attempt, or 0 */
    uint64_t wall_usec;    /* of the last attempt that ended, like the following */
    uint64_t user_usec;
    uint64_t system_usec;
    uint64_t max_rss_bytes;
    uint64_t log_begin; /* offset of the oldest byte that the log has */
    uint64_t log_end;   /* offset after the newest byte */
    uint64_t stdout_end;
    uint64_t stderr_end;
};

/* OUTPUT. Behind its fields stand the bytes, 1..AGENT_OUTPUT_MAX. */
struct agent_output_message {
    uint32_t stream;        /* enum agent_stream */
    uint64_t offset;        /* of the first byte among all output */
    uint64_t stream_offset; /* of the first byte in its stream */
    uint64_t time_usec;     /* Unix time at which the agent read it */
    const uint8_t *bytes;
    size_t size;
};

/* LOG: the head of a file of a log. */
struct agent_log_message {
    uint32_t version; /* AGENT_LOG_VERSION */
    uint32_t segment; /* number of the file, from 0 */
    struct id id;
    uint64_t offset; /* of the first byte of output in this file */
    uint64_t stdout_offset;
    uint64_t stderr_offset;
};

enum {
    AGENT_PROCESS_SIZE = ID_BYTES + 6 * 4 + 10 * 8, /* payload of PROCESS */
    AGENT_OUTPUT_HEAD = 4 + 3 * 8,                  /* what stands before the bytes of OUTPUT */
    AGENT_LOG_SIZE = 2 * 4 + ID_BYTES + 3 * 8,
};

struct agent_write_message {
    uint32_t flags; /* AGENT_WRITE_* */
    uint32_t mode;  /* at most 07777 */
    const char *owner;
    const char *path;   /* absolute */
    uint64_t size;      /* with MATCH, of the file that is to be replaced, as ENTRY told */
    uint64_t inode;     /* likewise */
    int64_t mtime_nsec; /* likewise */
};

struct agent_read_message {
    uint32_t flags; /* AGENT_READ_* */
    uint64_t offset;
    uint64_t limit; /* most bytes to send */
    const char *user;
    const char *path;
};

/* The requests of AGENT_FILE_REQUESTS. */
struct agent_file_message {
    uint8_t type;    /* enum agent_frame_type */
    uint32_t flags;  /* AGENT_FILE_* */
    uint32_t number; /* FOLDER: depth, from 1; MKDIR, CHMOD: mode; else 0 */
    uint32_t limit;  /* FOLDER: most entries, from 1; else 0 */
    const char *user;
    const char *path;   /* absolute */
    const char *target; /* MOVE, COPY: the new path, absolute; else "" */
    uint64_t skip;      /* FOLDER with SKIP: entries to leave out; else 0 */
};

/* ENTRY. Where the sandbox has no name for an id, owner or group are "". */
struct agent_entry_message {
    uint32_t type; /* enum agent_file_type */
    uint32_t mode; /* at most 07777 */
    uint32_t uid;
    uint32_t gid;
    uint64_t size;
    uint64_t inode;
    int64_t mtime_nsec; /* since the Unix epoch */
    const char *owner;
    const char *group;
    const char *path; /* below the folder that was listed; else "" */
    const char *link; /* what a link holds; else "" */
};

enum {
    AGENT_NAME_MAX = 64, /* bytes of an owner's or group's name in ENTRY, its zero byte included */
    AGENT_ENTRY_MAX = 4 * 4 + 3 * 8 + 4 * 4 + 2 * AGENT_NAME_MAX + 2 * AGENT_PATH_MAX,
};

/* CHANGE. Paths are below the watched folder, which is "" itself. */
struct agent_change_message {
    uint32_t kind;  /* enum agent_change_kind */
    uint32_t flags; /* AGENT_CHANGE_* */
    const char *path;
    const char *target; /* MOVE: where it is now; else "" */
};

enum { AGENT_CHANGE_MAX = 4 * 4 + 2 * AGENT_PATH_MAX };

/* SEARCH. */
struct agent_search_message {
    uint32_t flags;      /* AGENT_SEARCH_* */
    uint32_t limit;      /* 1..AGENT_SEARCH_MATCHES_MAX */
    uint32_t timeout_ms; /* 1..AGENT_SEARCH_MS_MAX */
    const char *user;
    const char *path;    /* absolute */
    const char *name;    /* a glob; "": any */
    const char *content; /* with CONTENT; else "" */
};

/* MATCH. */
struct agent_match_message {
    uint32_t type;    /* enum agent_file_type */
    uint32_t flags;   /* AGENT_MATCH_* */
    uint64_t line;    /* from 1; 0: the name matches */
    const char *path; /* below the folder; "": the file itself */
    const char *text; /* of the line */
};

/* FOUND. */
struct agent_found_message {
    uint32_t flags;  /* AGENT_FOUND_* */
    uint64_t files;  /* that were read */
    uint64_t binary; /* of them, those that have a zero byte, where their reading ended */
    uint64_t unread; /* files and folders that could not be read, or lie too deep */
};

enum { AGENT_MATCH_MAX = 4 * 4 + 8 + 2 + AGENT_PATH_MAX + AGENT_SEARCH_TEXT_MAX };

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

/* The same for START. */
size_t agent_start_size(const struct agent_start_message *message);
size_t agent_start_encode(const struct agent_start_message *message, uint8_t *data,
                          size_t capacity);

size_t agent_signal_encode(const struct agent_signal_message *message, uint8_t *data,
                           size_t capacity);
size_t agent_input_encode(const struct agent_input_message *message, uint8_t *data,
                          size_t capacity);
size_t agent_resize_encode(const struct agent_resize_message *message, uint8_t *data,
                           size_t capacity);
size_t agent_wait_encode(const struct agent_wait_message *message, uint8_t *data, size_t capacity);
size_t agent_attach_encode(const struct agent_attach_message *message, uint8_t *data,
                           size_t capacity);
size_t agent_forget_encode(const struct agent_forget_message *message, uint8_t *data,
                           size_t capacity);
size_t agent_stop_encode(const struct agent_stop_message *message, uint8_t *data, size_t capacity);
size_t agent_process_encode(const struct agent_process_message *message, uint8_t *data,
                            size_t capacity);
size_t agent_log_encode(const struct agent_log_message *message, uint8_t *data, size_t capacity);

/* Only the fields, AGENT_OUTPUT_HEAD bytes; the output's own bytes follow them. */
size_t agent_output_encode(const struct agent_output_message *message, uint8_t *data,
                           size_t capacity);

size_t agent_write_encode(const struct agent_write_message *message, uint8_t *data,
                          size_t capacity);
size_t agent_read_encode(const struct agent_read_message *message, uint8_t *data, size_t capacity);
size_t agent_file_encode(const struct agent_file_message *message, uint8_t *data, size_t capacity);
size_t agent_entry_encode(const struct agent_entry_message *message, uint8_t *data,
                          size_t capacity);
size_t agent_change_encode(const struct agent_change_message *message, uint8_t *data,
                           size_t capacity);
size_t agent_search_encode(const struct agent_search_message *message, uint8_t *data,
                           size_t capacity);
size_t agent_match_encode(const struct agent_match_message *message, uint8_t *data,
                          size_t capacity);
size_t agent_found_encode(const struct agent_found_message *message, uint8_t *data,
                          size_t capacity);
size_t agent_exit_encode(const struct agent_exit_message *message, uint8_t *data, size_t capacity);
size_t agent_done_encode(uint64_t value, uint8_t *data, size_t capacity);
size_t agent_error_encode(const struct agent_error_message *message, uint8_t *data,
                          size_t capacity);

/* `message->command.argv` and `.env` must point to the caller's arrays. */
bool agent_exec_decode(const uint8_t *data, size_t size, struct agent_exec_message *message);
bool agent_start_decode(const uint8_t *data, size_t size, struct agent_start_message *message);
bool agent_signal_decode(const uint8_t *data, size_t size, struct agent_signal_message *message);
bool agent_input_decode(const uint8_t *data, size_t size, struct agent_input_message *message);
bool agent_resize_decode(const uint8_t *data, size_t size, struct agent_resize_message *message);
bool agent_wait_decode(const uint8_t *data, size_t size, struct agent_wait_message *message);
bool agent_attach_decode(const uint8_t *data, size_t size, struct agent_attach_message *message);
bool agent_forget_decode(const uint8_t *data, size_t size, struct agent_forget_message *message);
bool agent_stop_decode(const uint8_t *data, size_t size, struct agent_stop_message *message);
bool agent_process_decode(const uint8_t *data, size_t size, struct agent_process_message *message);
bool agent_output_decode(const uint8_t *data, size_t size, struct agent_output_message *message);
bool agent_log_decode(const uint8_t *data, size_t size, struct agent_log_message *message);
bool agent_write_decode(const uint8_t *data, size_t size, struct agent_write_message *message);
bool agent_read_decode(const uint8_t *data, size_t size, struct agent_read_message *message);
/* True for what wait(2) gives of a process that has ended. */
bool agent_status_valid(uint32_t status);

/* `type` is the frame's; false also for one that is not of AGENT_FILE_REQUESTS. */
bool agent_file_decode(uint8_t type, const uint8_t *data, size_t size,
                       struct agent_file_message *message);
bool agent_entry_decode(const uint8_t *data, size_t size, struct agent_entry_message *message);
bool agent_change_decode(const uint8_t *data, size_t size, struct agent_change_message *message);
bool agent_search_decode(const uint8_t *data, size_t size, struct agent_search_message *message);
bool agent_match_decode(const uint8_t *data, size_t size, struct agent_match_message *message);
bool agent_found_decode(const uint8_t *data, size_t size, struct agent_found_message *message);
bool agent_exit_decode(const uint8_t *data, size_t size, struct agent_exit_message *message);
bool agent_done_decode(const uint8_t *data, size_t size, uint64_t *ret_value);
bool agent_error_decode(const uint8_t *data, size_t size, struct agent_error_message *message);

#endif
