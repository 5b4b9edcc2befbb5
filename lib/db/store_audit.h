/* Events that are not part of the transaction of what they tell of. */
#ifndef LIB_DB_STORE_AUDIT_H
#define LIB_DB_STORE_AUDIT_H

#include "lib/db/db.h"

/* One row of `events`. Texts are never NULL; "" is not known. */
struct store_audit {
    struct id tenant; /* all zeros: of no tenant, which operators alone see */
    const char *kind;
    const char *actor;
    const char *request_id; /* of the first, where there are several */
    const char *reason;
    const char *client; /* the address it came from */
    const char *about;  /* what it was about */
    int64_t count;      /* how often it happened */
};

/* Appends rows of any tenants in one transaction. */
int store_audit_append(struct db_pool *pool, const struct store_audit *rows, size_t count,
                       struct error *err);

#endif
