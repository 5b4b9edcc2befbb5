/*
 * What the services share: opened once at start-up by main, used by every request's thread. All of
 * it is thread-safe or constant.
 */
#ifndef SERVER_SERVICES_SERVICES_H
#define SERVER_SERVICES_SERVICES_H

#include "lib/db/store_run.h"
#include "lib/db/store_sandbox.h"
#include "server/services/admission.h"
#include "server/services/transitions.h"

#include <atoll/config.h>
#include <atoll/id.h>
#include <atoll/role.h>
#include <stdatomic.h>
#include <stdbool.h>

struct activity;
struct agents;
struct attach;
struct audit;
struct db_pool;
struct event_follower;
struct executors;
struct holdings;
struct idempotency;
struct places;
struct streams;
struct late_records;
struct launcher_client;
struct token_maker;
struct watches;

struct services {
    _Atomic(const struct config *) config; /* a reload replaces it; what it was stays readable */
    struct db_pool *db;
    struct launcher_client *launcher;
    struct late_records *late_records;
    struct audit *audit;
    const struct token_maker *token_maker;
    struct idempotency *idempotency;
    struct streams *streams;
    struct event_follower *event_follower;
    struct attach *attach;
    struct activity *activity;
    struct agents *agents;
    struct places *transfers;  /* transfers.h */
    struct places *waits;      /* waits.h */
    struct places *requests;   /* under way, of tenants: the router's */
    struct holdings *holdings; /* of tenants, in the database */
    struct executors *executors;
    struct watches *watches;
    struct admission *admission;
    struct transitions transitions; /* of containers */
    char node_id[STORE_NODE_MAX + 1];
    struct id boot_id; /* of this server process: runs of an earlier one are lost */
};

enum { CALLER_SECRET_HASH_SIZE = 32 }; /* SHA-256 */

/* The secret of a sandbox, as it was when it let a caller in. */
struct caller_secret {
    struct id sandbox;
    unsigned char hash[CALLER_SECRET_HASH_SIZE];
};

/* On whose behalf a service acts. Every query is scoped by it. */
struct caller {
    struct id tenant;
    bool has_project; /* bound to one project: nothing else of the tenant exists for it */
    struct id project;
    bool has_key; /* came with an API key, or a token made with one */
    bool is_key;  /* with the API key itself */
    struct id key;
    bool has_secret; /* came with the secret of a sandbox, and with nothing else */
    struct caller_secret secret;
    enum role role;
    const char *subject;
    const char *request_id;
    int64_t expires_at;     /* of the token or key, Unix seconds */
    const char *client;     /* the address it came from */
    struct db_claim *claim; /* of the request's idempotency key; NULL: it has none */
};

/* What the event rows say of the caller; it borrows his strings. */
static inline struct store_origin caller_origin(const struct caller *caller)
{
    return (struct store_origin){.actor = caller->subject, .request_id = caller->request_id};
}

/* The caller's rows, and his claim: every change that his request makes goes through it. */
struct db_scope caller_scope(const struct caller *caller);

/* The same for an operator who changes `tenant`: its rows, and his claim. */
struct db_scope caller_operator_scope(const struct caller *caller, const struct id *tenant);

/*
 * The id of what the request makes. The claim remembers it, so that a retry after a crash finds
 * what was made.
 */
int caller_new_id(const struct caller *caller, struct id *ret_id, struct error *err);

#endif
