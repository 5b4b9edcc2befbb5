/*
 * Why a sandbox is as it is, and what will become of it: its row, the rules that the worker goes by
 * (store_system.h, store_container_system.h) and the last change of its state. For errors see db.h.
 */
#ifndef LIB_DB_STORE_WHY_H
#define LIB_DB_STORE_WHY_H

#include "lib/db/db.h"

/* The strings belong to `owner`; NULL, and 0 for a time, where there is none. */
struct store_why {
    void *owner;
    struct id id;
    const char *kind;
    const char *state;
    const char *kept_by; /* a word of docs/api/sandboxes.md */
    int64_t active_runs;
    int64_t change_usec; /* the last change of state */
    const char *change_from;
    const char *change_to;
    const char *change_reason;
    const char *change_actor;
    const char *change_request_id;
    int64_t idle_usec;     /* when idle_timeout ends it */
    int64_t lifetime_usec; /* when max_lifetime does */
    const char *idle_action;
};

void store_why_free(struct store_why *why);

/* ERR_NOT_FOUND when there is no such sandbox, or it is deleted. The caller frees it. */
int store_why_get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                  struct store_why *ret_why, struct error *err);

#endif
