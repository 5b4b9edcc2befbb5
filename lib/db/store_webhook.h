/*
 * Webhooks as their tenant sees them: where events are sent to, and what became of each delivery.
 * One transaction in one round trip a call, in the rows of `scope`: a webhook of another tenant or
 * project is ERR_NOT_FOUND, as a missing one is. Changes write their event in the same transaction.
 * For the errors that all share see db.h.
 */
#ifndef LIB_DB_STORE_WEBHOOK_H
#define LIB_DB_STORE_WEBHOOK_H

#include "lib/db/db.h"
#include "lib/db/store_sandbox.h"

#include <atoll/id.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEBHOOK_URL_MAX = 2048, /* bytes */
    WEBHOOK_SECRET_MIN = 16,
    WEBHOOK_SECRET_MAX = 255,
    WEBHOOKS_MAX = 100, /* of one tenant: each event is matched with all of them */
};

/* Strings belong to `owner`, or to the list that the webhook is in. */
struct webhook_record {
    struct id id;
    struct id project; /* zeros: of the whole tenant */
    const char *url;
    const char *kinds_json; /* of events, an array of strings; empty: all */
    bool is_active;
    int64_t version;      /* of what a caller may change */
    int64_t created_usec; /* Unix microseconds */
    int64_t updated_usec;
    void *owner;
};

void webhook_record_free(struct webhook_record *record);

struct webhook_list {
    struct webhook_record *items;
    size_t count;
    void *owner;
};

void webhook_list_free(struct webhook_list *list);

/* A webhook to be. */
struct webhook_spec {
    struct id id;
    const struct id *project; /* NULL: that of the scope, or the whole tenant */
    const char *url;
    const char *secret;
    const char *kinds_json;
};

/*
 * ERR_NOT_FOUND (field "project_id") without such a project, ERR_CONFLICT when the tenant has
 * WEBHOOKS_MAX, ERR_FORBIDDEN when the tenant does not exist. Durable. The caller frees the record.
 */
int store_webhook_insert(struct db_pool *pool, const struct db_scope *scope,
                         const struct webhook_spec *spec, const struct store_origin *origin,
                         struct webhook_record *ret_record, struct error *err);

/* The caller frees the record. */
int store_webhook_get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                      struct webhook_record *ret_record, struct error *err);

/* The newest first, older than `before` unless it is NULL. The caller frees the list. */
int store_webhook_list(struct db_pool *pool, const struct db_scope *scope, uint32_t limit,
                       const struct id *before, struct webhook_list *ret_list, struct error *err);

/* NULL and false leave as it is. */
struct webhook_patch {
    const char *url;
    const char *kinds_json;
    bool set_active;
    bool is_active;
};

/*
 * Changes the webhook and counts its version; ERR_PRECONDITION unless that is `version`, or
 * `version` is negative. Durable. The caller frees the record.
 */
int store_webhook_patch(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                        const struct webhook_patch *patch, int64_t version,
                        const struct store_origin *origin, struct webhook_record *ret_record,
                        struct error *err);

/* With its deliveries; ERR_PRECONDITION as of a change. Durable. */
int store_webhook_delete(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                         int64_t version, const struct store_origin *origin, struct error *err);

/* A delivery: one event for one webhook. Strings belong to `owner`, or to the list. */
struct webhook_delivery {
    struct id id;
    struct id webhook;
    const char *event_id;     /* as GET /v1/events has it */
    const char *payload_json; /* what is sent */
    const char *state;        /* pending, delivered, dead */
    int64_t attempts;
    int64_t next_attempt_usec; /* Unix microseconds; 0 unless it is pending */
    int64_t last_status;       /* of HTTP; 0: none */
    const char *last_error;    /* NULL: none */
    int64_t created_usec;
    int64_t ended_usec; /* 0: not yet */
    void *owner;
};

void webhook_delivery_free(struct webhook_delivery *delivery);

struct webhook_delivery_list {
    struct webhook_delivery *items;
    size_t count;
    void *owner;
};

void webhook_delivery_list_free(struct webhook_delivery_list *list);

struct webhook_delivery_filter {
    const char *state; /* NULL: any */
    const struct id *before;
    uint32_t limit;
};

/* The newest first. The caller frees the list. */
int store_webhook_deliveries(struct db_pool *pool, const struct db_scope *scope,
                             const struct id *webhook, const struct webhook_delivery_filter *filter,
                             struct webhook_delivery_list *ret_list, struct error *err);

/*
 * Sends an ended delivery anew, with all attempts; ERR_CONFLICT when it is pending. Durable. The
 * caller frees the delivery.
 */
int store_webhook_retry(struct db_pool *pool, const struct db_scope *scope,
                        const struct id *webhook, const struct id *delivery,
                        const struct store_origin *origin, struct webhook_delivery *ret_delivery,
                        struct error *err);

#endif
