/*
 * Containers (rows of `sandboxes` of kind container) on a tenant's behalf. Every call is one
 * transaction in one round trip; a container outside of the scope is ERR_NOT_FOUND, as a missing
 * one is. Changes of state write their event in the same statement. For the errors that all share
 * see db.h.
 */
#ifndef LIB_DB_STORE_CONTAINER_H
#define LIB_DB_STORE_CONTAINER_H

#include "lib/db/store_sandbox.h"

#include <atoll/container.h>

/*
 * Stores a container under the new id `id` in state creating, generation 1, on `node`; durable.
 * ERR_NOT_FOUND (field project_id) when the named project is not there, ERR_FORBIDDEN when the
 * tenant is not, ERR_CONFLICT when the project has a container of the client's name. The caller
 * frees the record.
 */
int store_container_insert(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                           const struct container_spec *spec, const char *node,
                           const struct store_origin *origin, struct container_record *ret_record,
                           struct error *err);

/* The caller frees the record. */
int store_container_get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                        struct container_record *ret_record, struct error *err);

/*
 * The container that the client calls so, in the project that the scope is bound to, else in the
 * tenant's default one. The caller frees the record.
 */
int store_container_find(struct db_pool *pool, const struct db_scope *scope,
                         const char *client_name, struct container_record *ret_record,
                         struct error *err);

/*
 * As store_container_get, for a caller who uses it: last_active_at of one that runs is brought up
 * to date, at most every few seconds, so that much use costs few writes. Where `changes`, the
 * request changes something inside: its claim is written.
 */
int store_container_use(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                        bool changes, struct container_record *ret_record, struct error *err);

/* As store_container_get, and the record has its environment. */
int store_container_get_environment(struct db_pool *pool, const struct db_scope *scope,
                                    const struct id *id, struct container_record *ret_record,
                                    struct error *err);

/* What a list is narrowed to; NULL: not. */
struct store_container_filter {
    const struct id *project;
    const char *state;
    const char *image;
    const char *labels_json; /* an object that the labels must contain */
    const struct id *before; /* older than this one */
    uint32_t limit;
};

/* The newest first. The caller frees the list. */
int store_container_list(struct db_pool *pool, const struct db_scope *scope,
                         const struct store_container_filter *filter,
                         struct container_list *ret_list, struct error *err);

/* One step of a container's state machine. */
struct store_container_step {
    struct id id;
    uint32_t generation;     /* that it must have; a step to creating makes the next one */
    enum sandbox_state from; /* that it must be in */
    enum sandbox_state to;
    enum container_reason reason;
    const char *node; /* NULL: stays */
    bool has_exit;    /* exit_code and exit_signal are recorded */
    int exit_code;    /* -1: none */
    int exit_signal;  /* 0: none */
};

/*
 * Takes the step when generation and state are as expected, durably; else ERR_CONFLICT, and nothing
 * changed. A stop that takes a container with the reason stop_requested has the reason requested,
 * whatever the step says. `scope` NULL: of any tenant (worker). The caller frees the record.
 */
int store_container_step(struct db_pool *pool, const struct db_scope *scope,
                         const struct store_container_step *step, const struct store_origin *origin,
                         struct container_record *ret_record, struct error *err);

/* Notes that a stop is under way (reason stop_requested); ERR_CONFLICT as above. Durable. */
int store_container_stopping(struct db_pool *pool, const struct db_scope *scope,
                             const struct store_container_step *step, struct error *err);

/* What a caller may change; a member with its `set_` false stays. */
struct store_container_patch {
    bool set_name;
    const char *name; /* NULL: none */
    bool set_command_timeout;
    uint32_t command_timeout_s; /* 0: none */
    const char *labels_json;    /* NULL: stay */
    uint32_t idle_timeout_s;    /* 0: stays, as the next */
    uint32_t max_lifetime_s;
};

/* Of If-Match: the version that the container must have; STORE_ANY_VERSION: any. */
#define STORE_ANY_VERSION (-1)

/* Changes it, durably. ERR_PRECONDITION for another version. The caller frees the record. */
int store_container_patch(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                          const struct store_container_patch *patch, int64_t version,
                          const struct store_origin *origin, struct container_record *ret_record,
                          struct error *err);

enum { STORE_ENVIRONMENT_MAX = 256 }; /* variables of a container */

/*
 * Replaces the environment by `env_json`, or merges it in: there null removes a variable. Durable.
 * ERR_PRECONDITION as above, ERR_INVALID_FIELD when there would be too many variables. The record
 * has the new environment; the caller frees it.
 */
int store_container_environment(struct db_pool *pool, const struct db_scope *scope,
                                const struct id *id, const char *env_json, bool merge,
                                int64_t version, const struct store_origin *origin,
                                struct container_record *ret_record, struct error *err);

/* Replaces entrypoint and command (JSON arrays, NULL: none). As above. */
int store_container_entrypoint(struct db_pool *pool, const struct db_scope *scope,
                               const struct id *id, const char *entrypoint_json,
                               const char *command_json, int64_t version,
                               const struct store_origin *origin,
                               struct container_record *ret_record, struct error *err);

/* State deleting, from any state: no step is possible after it. May be repeated. Durable.
 * *ret_generation is the last one. ERR_PRECONDITION for another version. */
int store_container_delete_begin(struct db_pool *pool, const struct db_scope *scope,
                                 const struct id *id, enum container_reason reason, int64_t version,
                                 const struct store_origin *origin, uint32_t *ret_generation,
                                 struct error *err);

/* State deleted, contents erased; nothing when somebody else was first. Durable. */
int store_container_delete_finish(struct db_pool *pool, const struct db_scope *scope,
                                  const struct id *id, const struct store_origin *origin,
                                  struct error *err);

#endif
