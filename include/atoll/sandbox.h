/*
 * The vocabulary of sandboxes that the server, the worker, the monitor and the database layer
 * share. Strings are owned by the struct they stand in unless a comment says otherwise; *_free
 * accepts a zeroed struct.
 */
#ifndef ATOLL_SANDBOX_H
#define ATOLL_SANDBOX_H

#include <atoll/id.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(symbol, database word). The database refuses every step that docs/architecture.md lacks. */
#define SANDBOX_STATES(X)                                                                          \
    X(SANDBOX_CREATING, "creating")                                                                \
    X(SANDBOX_RUNNING, "running")                                                                  \
    X(SANDBOX_PAUSED, "paused")                                                                    \
    X(SANDBOX_STOPPED, "stopped")                                                                  \
    X(SANDBOX_FAILED, "failed")                                                                    \
    X(SANDBOX_DELETING, "deleting")                                                                \
    X(SANDBOX_DELETED, "deleted")

enum sandbox_state {
#define SANDBOX_STATE_ENUM(symbol, word) symbol,
    SANDBOX_STATES(SANDBOX_STATE_ENUM)
#undef SANDBOX_STATE_ENUM
};

/* X(symbol, database word): how a process ended, or that it has not. */
#define PROCESS_STATES(X)                                                                          \
    X(PROCESS_RUNNING, "running")     /* its exit has not been seen */                             \
    X(PROCESS_COMPLETED, "completed") /* exit code 0 */                                            \
    X(PROCESS_FAILED, "failed")       /* another exit code */                                      \
    X(PROCESS_KILLED, "killed")       /* a signal, the deadline or the memory limit ended it */    \
    X(PROCESS_LOST, "lost")           /* nobody saw its wait status */

enum process_state {
#define PROCESS_STATE_ENUM(symbol, word) symbol,
    PROCESS_STATES(PROCESS_STATE_ENUM)
#undef PROCESS_STATE_ENUM
};

/* Who runs what a caller names no user for, and where its relative paths begin (images/). */
#define SANDBOX_USER   "user"
#define SANDBOX_FOLDER "/sandbox"

/* How a process ended. */
struct process_end {
    struct id id;
    const struct id *sandbox; /* that it must belong to, where a sandbox said the id; NULL: any */
    enum process_state state; /* not running */
    int exit_code;            /* -1: none */
    int signal;               /* 0: none */
    bool timed_out;
    bool truncated;
    int64_t ended_usec; /* Unix time; 0, or what is not in the past: now */
    int64_t cpu_usec;   /* -1: not known, like the following */
    int64_t memory_peak_bytes;
    int64_t wall_usec;
};

/* A file of a sandbox's definition. */
struct sandbox_file {
    char *path;    /* absolute, inside the sandbox */
    char *content; /* `size` bytes, any bytes */
    size_t size;
    bool executable;
};

struct sandbox_files {
    struct sandbox_file *items;
    size_t count;
};

/* What a caller asked for; every execution runs from it. */
struct sandbox_definition {
    char *runtime; /* "node", "typescript", "bun", "python", "shell" */
    char *code;
    size_t code_size;
    char *entry_point; /* NULL: the runtime's default */
    char *env_json;    /* an object of strings, as JSON text */
    uint32_t timeout_ms;
    uint32_t memory_limit_mb;
    struct sandbox_files files;
    char *policy_json; /* of its project's commands, where a run of it begins; NULL: none */
};

/* A sandbox as its row has it. Times are Unix microseconds of the database's clock. */
struct sandbox_record {
    struct id id;
    enum sandbox_state state;
    uint32_t generation;
    uint32_t active_runs;
    char *runtime;
    char *entry_point; /* NULL: the runtime's default */
    uint32_t timeout_ms;
    uint32_t memory_limit_mb;
    uint32_t file_count;
    int64_t created_usec;
    int64_t last_active_usec;
    int64_t expires_usec;
    bool has_last_run;
    enum process_state last_run_state;
};

void sandbox_files_free(struct sandbox_files *files);
void sandbox_definition_free(struct sandbox_definition *definition);
void sandbox_record_free(struct sandbox_record *record);

/* The database's word for a state; NULL-safe parsing returns false for an unknown word. */
const char *sandbox_state_name(enum sandbox_state state);
bool sandbox_state_parse(const char *word, enum sandbox_state *ret_state);
const char *process_state_name(enum process_state state);
bool process_state_parse(const char *word, enum process_state *ret_state);

/* An end that nobody saw: no more of it is known than the state. */
struct process_end process_end_unknown(const struct id *id, enum process_state state);

#endif
