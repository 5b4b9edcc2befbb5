/*
 * Processes of containers (rows of `processes` with a kind) on a tenant's behalf. Every call is one
 * transaction in one round trip; a process whose container is outside of the scope is
 * ERR_NOT_FOUND, as a missing one is. For the errors that all share see db.h.
 */
#ifndef LIB_DB_STORE_PROCESS_H
#define LIB_DB_STORE_PROCESS_H

#include "lib/db/store_run.h"

/* X(symbol, word) */
#define STORE_PROCESS_KINDS(X)                                                                     \
    X(STORE_PROCESS_EXEC, "exec")        /* ends with the request that began it */                 \
    X(STORE_PROCESS_DETACHED, "process") /* lives on in the container */

enum store_process_kind {
#define STORE_PROCESS_KIND_ENUM(symbol, word) symbol,
    STORE_PROCESS_KINDS(STORE_PROCESS_KIND_ENUM)
#undef STORE_PROCESS_KIND_ENUM
};

/* A process as its row has it. The strings belong to `owner`, or to the list that it stands in. */
struct store_process {
    struct id id;
    struct id sandbox;
    uint32_t generation; /* of the container, that it runs in */
    enum store_process_kind kind;
    enum process_state state;
    const char *command_json; /* an array of strings */
    const char *tag;          /* or NULL */
    bool has_terminal;
    bool has_input;
    int exit_code; /* -1: none */
    int signal;    /* 0: none */
    bool timed_out;
    bool truncated;
    int64_t started_usec; /* Unix time, like the next */
    int64_t ended_usec;   /* 0: not yet */
    int64_t cpu_usec;     /* -1: not known, like the following */
    int64_t memory_peak_bytes;
    int64_t wall_usec;
    bool is_reachable; /* its container runs, in the process's generation */
    void *owner;
};

void store_process_free(struct store_process *process);

struct store_process_list {
    struct store_process *items;
    size_t count;
    void *owner;
};

void store_process_list_free(struct store_process_list *list);

/* A new process. */
struct store_process_new {
    struct id id;
    struct id sandbox;
    enum store_process_kind kind;
    const char *command_json;
    const char *tag; /* NULL: none */
    bool has_terminal;
    bool has_input;
    const char *node_id;
    struct id boot_id;
    uint64_t deadline_ms;   /* from now: without an end a minute later it is lost; 0: never */
    int64_t policy_version; /* of the project whose command policy lets it run; 0: none was asked */
};

/* What the container gives to a process that begins. */
struct store_process_place {
    uint32_t generation;
    int64_t started_usec;
    uint32_t command_timeout_ms; /* 0: none */
    const char *env_json;        /* belongs to `owner`, like the next */
    const char *policy_json; /* not NULL: nothing was begun, this policy has to be asked first */
    int64_t policy_version;
    /* Of a look at it: the container was used within the last second, and its idle timeout is
     * seconds longer than that. */
    bool is_fresh;
    void *owner;
};

void store_process_place_free(struct store_process_place *place);

/*
 * What a process would begin with now: as store_process_begin, but nothing is written. Where there
 * is a policy, or the place is not fresh, the process must be begun before it runs. The caller
 * frees *ret_place.
 */
int store_process_look(struct db_pool *pool, const struct db_scope *scope, const struct id *sandbox,
                       struct store_process_place *ret_place, struct error *err);

/*
 * Begins a process in a running container, and notes that the container is used, at most once a
 * second. ERR_CONFLICT when the container does not run. Durable for a detached one and for a
 * request with a key; an exec is told of at its end alone, so its begin is not waited for. The
 * caller frees *ret_place.
 *
 * Where the project has a command policy that is not off, and another version than the process
 * says, nothing is begun and the place has that policy: who is let in by it begins again with its
 * version. So the policy that was asked is the one that counts.
 */
int store_process_begin(struct db_pool *pool, const struct db_scope *scope,
                        const struct store_process_new *process, const struct store_origin *origin,
                        struct store_process_place *ret_place, struct error *err);

/*
 * Records the end, durably. May be repeated: an end that is there stays, but a wait status replaces
 * `lost`. `scope` NULL: of any tenant (worker). *ret_found says whether there is such a row.
 */
int store_process_end(struct db_pool *pool, const struct db_scope *scope,
                      const struct process_end *end, bool *ret_found, struct error *err);

/* Gives a row that was read before its end the end that it has since. */
void store_process_take_end(struct store_process *process, const struct process_end *end);

/*
 * Writes the row of an exec that runs already, or of one that is over: of `place` the generation
 * and the start are taken. `end` NULL: it runs, which is not waited for, and its container is used;
 * else durably, with this end. A row that is there stays.
 */
int store_process_write(struct db_pool *pool, const struct db_scope *scope,
                        const struct store_process_new *process,
                        const struct store_process_place *place, const struct process_end *end,
                        const struct store_origin *origin, struct error *err);

/* The caller frees the process. */
int store_process_get(struct db_pool *pool, const struct db_scope *scope, const struct id *sandbox,
                      const struct id *id, struct store_process *ret_process, struct error *err);

/* The main command of a container, as a process whose id is the container's: of its last start. */
int store_process_main(struct db_pool *pool, const struct db_scope *scope, const struct id *sandbox,
                       struct store_process *ret_process, struct error *err);

/* What a list is narrowed to. */
struct store_process_filter {
    const struct id *before; /* older than this one; NULL: all */
    const char *tag;         /* NULL: any */
    uint32_t limit;
};

/* The newest first. The caller frees the list. */
int store_process_list(struct db_pool *pool, const struct db_scope *scope, const struct id *sandbox,
                       const struct store_process_filter *filter,
                       struct store_process_list *ret_list, struct error *err);

/* Notes that containers are used, each at most once a second. */
int store_process_touch(struct db_pool *pool, const struct db_scope *scope,
                        const struct id *sandboxes, size_t count, struct error *err);

#endif
