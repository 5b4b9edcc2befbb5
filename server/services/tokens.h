/*
 * Short-lived tokens in exchange for an API key. They are signed by whoever holds the key to sign
 * with (authentication); here is decided what they may say.
 */
#ifndef SERVER_SERVICES_TOKENS_H
#define SERVER_SERVICES_TOKENS_H

#include "server/services/services.h"

enum { TOKEN_LIFETIME_MIN_S = 60, TOKEN_LIFETIME_DEFAULT_S = 900, TOKEN_LIFETIME_MAX_S = 3600 };

/* What a token is to say. The texts are borrowed. */
struct token_order {
    const char *subject;
    struct id tenant;
    const struct id *project; /* NULL: all of the tenant */
    const struct id *key;
    const char *scope;
    int64_t lifetime_s;
};

/* Signs tokens; main sets it. ERR_NOT_SUPPORTED where there is no key to sign with. */
struct token_maker {
    void *user;
    int (*make)(void *user, const struct token_order *order, char **ret_token, struct error *err);
};

/* What the caller asks for. */
struct token_wish {
    const char *scope;        /* NULL: the key's role */
    const struct id *project; /* NULL: the key's */
    int64_t lifetime_s;
};

struct token_grant {
    char *token;
    const char *scope; /* of the wish, or a constant */
    bool has_project;
    struct id project;
};

/*
 * Makes a token that may do no more than the caller's API key, and ends with it. ERR_FORBIDDEN when
 * the caller did not come with an API key itself; ERR_NOT_POSSIBLE (`scope`, `project_id`) when he
 * wants more than the key gives. The token is the caller's to free.
 */
int tokens_exchange(struct services *services, const struct caller *caller,
                    const struct token_wish *wish, struct token_grant *ret_grant,
                    struct error *err);

#endif
