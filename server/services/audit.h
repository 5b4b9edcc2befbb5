/*
 * Events that are not part of the transaction of what they tell of: refused callers, and acts that
 * change no row. They are kept in memory and written by a thread, so that nobody waits for them and
 * an attacker's flood stays small: what repeats within a minute is one row with a count, and the
 * rows of a minute are bounded (AUDIT_ANONYMOUS_MAX of callers that nobody knows, AUDIT_TENANT_MAX
 * of tenants). Beyond that, callers count as "many". What a crash takes, or a database that stays
 * away, is lost: an effect that must not go unnoticed writes its event in its own transaction.
 */
#ifndef SERVER_SERVICES_AUDIT_H
#define SERVER_SERVICES_AUDIT_H

#include "lib/db/db.h"

enum { AUDIT_ANONYMOUS_MAX = 256, AUDIT_TENANT_MAX = 512, AUDIT_REPEAT_SECONDS = 60 };

struct audit;
struct services;

/* Starts the thread. The pool must outlive it. */
int audit_start(struct db_pool *db, struct audit **ret_audit, struct error *err);

/* Writes what is left, if the database is there, and frees. NULL is allowed. */
void audit_stop(struct audit *audit);

/* Texts may be NULL, and are copied, cut to what a row shows. */
struct audit_event {
    struct id tenant;   /* all zeros: of no tenant; operators alone see it */
    const char *kind;   /* e.g. "auth.failed" */
    const char *reason; /* a word */
    const char *actor;  /* who did it */
    const char *client; /* the address it came from */
    const char *about;  /* what it was about */
    const char *request_id;
    bool is_single; /* a row of its own, however often the like happens */
};

/* Never blocks longer than for a lock. */
void audit_record(const struct services *services, const struct audit_event *event);

#endif
