/*
 * Idempotency keys after their claim (db.h: struct db_claim): who works on one, and its answer.
 * Nothing here is durable: an answer that a crash of PostgreSQL forgets is made again from what
 * the key's effect was on. For errors see db.h.
 */
#ifndef LIB_DB_STORE_IDEMPOTENCY_H
#define LIB_DB_STORE_IDEMPOTENCY_H

#include "lib/db/db.h"

/* The answer of a request. `media_type` is NULL for one without a body, `etag` for one without. */
struct store_answer {
    int status;
    char *media_type;
    char *etag;
    char *data;
    size_t size;
};

void store_answer_free(struct store_answer *answer);

enum store_key_state {
    STORE_KEY_ABSENT,     /* nothing was done under this key */
    STORE_KEY_OTHER,      /* it came with another request */
    STORE_KEY_UNANSWERED, /* done, or being done */
    STORE_KEY_ANSWERED,
};

/* Looks the claim's key up. The caller frees the answer, which is there for STORE_KEY_ANSWERED. */
int store_key_find(struct db_pool *pool, const struct db_scope *scope, const struct db_claim *claim,
                   enum store_key_state *ret_state, struct store_answer *ret_answer,
                   struct error *err);

/*
 * Makes claim->boot_id the one that answers an unanswered key, when nobody else will: its server
 * gave it up, is gone, has had it for `lease_s` seconds, or is this one (the caller knows that no
 * request of its process works on it). False in *ret_taken when somebody else does. Sets
 * claim->resource.
 */
int store_key_take(struct db_pool *pool, const struct db_scope *scope, struct db_claim *claim,
                   uint32_t lease_s, bool *ret_taken, struct error *err);

/* Keeps the answer, with the key when that was not written yet. */
int store_key_answer(struct db_pool *pool, const struct db_scope *scope,
                     const struct db_claim *claim, const struct store_answer *answer,
                     struct error *err);

/* Leaves an unanswered key to whoever asks next. */
int store_key_leave(struct db_pool *pool, const struct db_scope *scope,
                    const struct db_claim *claim, struct error *err);

/* Forgets an unanswered key: its request had no effect. */
int store_key_forget(struct db_pool *pool, const struct db_scope *scope,
                     const struct db_claim *claim, struct error *err);

#endif
