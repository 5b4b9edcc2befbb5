/*
 * The vocabulary of containers: sandboxes that live from start to stop and keep their disk in
 * between (docs/api/sandboxes.md). Server, worker and the database layer share it.
 */
#ifndef ATOLL_CONTAINER_H
#define ATOLL_CONTAINER_H

#include <atoll/id.h>
#include <atoll/sandbox.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(symbol, word, meaning): what put a container in its state, or is about to */
#define CONTAINER_REASONS(X)                                                                       \
    X(CONTAINER_REQUESTED, "requested", "a caller asked for it")                                   \
    X(CONTAINER_STOP_REQUESTED, "stop_requested", "a caller asked for a stop that is under way")   \
    X(CONTAINER_COMMAND_EXITED, "command_exited", "its main command ended")                        \
    X(CONTAINER_IDLE_TIMEOUT, "idle_timeout", "nobody used it for idle_timeout")                   \
    X(CONTAINER_MAX_LIFETIME, "max_lifetime", "it reached max_lifetime")                           \
    X(CONTAINER_LOST, "lost", "its processes ended with their host; the disk is kept")             \
    X(CONTAINER_START_FAILED, "start_failed", "it could not be started")                           \
    X(CONTAINER_UNFINISHED, "unfinished", "the server ended while it was being created")

enum container_reason {
#define CONTAINER_REASON_ENUM(symbol, word, meaning) symbol,
    CONTAINER_REASONS(CONTAINER_REASON_ENUM)
#undef CONTAINER_REASON_ENUM
};

/* The word of a reason, as the database and the API have it. */
const char *container_reason_name(enum container_reason reason);

/*
 * What a caller asks for. The *_json members are JSON text; all strings are owned. A zeroed struct
 * can be freed.
 */
struct container_spec {
    char *name;            /* NULL: none */
    char *client_name;     /* unique in the project; NULL: none (docs/api/containers.md) */
    char *image;           /* a name of the image store */
    char *runtime;         /* NULL: the image was named */
    char *command_json;    /* an array of strings; NULL: none */
    char *entrypoint_json; /* the same */
    char *env_json;        /* an object of strings */
    char *ports_json;      /* an array of {port, protocol} */
    char *labels_json;     /* an object of strings */
    char *cap_add_json;    /* arrays of capability names without CAP_ */
    char *cap_drop_json;
    bool has_project; /* else the caller's, or the tenant's default one */
    struct id project;
    bool read_only_root;
    uint32_t cpu_milli;
    uint32_t memory_mb;
    uint32_t disk_mb;
    uint32_t pids_max;
    uint32_t run_timeout_s;     /* of the main command; 0: none */
    uint32_t max_retries;       /* of the main command when it fails */
    uint32_t command_timeout_s; /* default of later commands; 0: none */
    uint32_t idle_timeout_s;
    uint32_t max_lifetime_s;
};

void container_spec_free(struct container_spec *spec);

/*
 * A container as its row has it. The strings belong to `owner`, or to the list that the record
 * stands in. Times are Unix microseconds of the database's clock, 0 for none.
 */
struct container_record {
    struct id id;
    struct id tenant;
    struct id project;
    enum sandbox_state state;
    uint32_t generation;
    uint32_t version;         /* of what a caller may change */
    const char *state_reason; /* a word of CONTAINER_REASONS, or NULL */
    const char *name;
    const char *image;
    const char *runtime;
    const char *command_json;
    const char *entrypoint_json;
    const char *ports_json;
    const char *labels_json;
    const char *cap_add_json;
    const char *cap_drop_json;
    const char *env_json;
    const char *network;
    const char *node; /* that its disk is on */
    bool read_only_root;
    uint32_t cpu_milli;
    uint32_t memory_mb;
    uint32_t disk_mb;
    uint32_t pids_max;
    uint32_t run_timeout_s;
    uint32_t max_retries;
    uint32_t command_timeout_s;
    uint32_t idle_timeout_s;
    uint32_t max_lifetime_s;
    int exit_code;   /* of the main command; -1: none */
    int exit_signal; /* 0: none */
    int64_t created_usec;
    int64_t started_usec;
    int64_t last_active_usec;
    int64_t expires_usec;
    void *owner;
};

void container_record_free(struct container_record *record);

struct container_list {
    struct container_record *items;
    size_t count;
    void *owner;
};

void container_list_free(struct container_list *list);

#endif
