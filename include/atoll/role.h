/*
 * What a caller may do. Roles are ordered: each may do all that the one before it may.
 *
 * The words stand in the `scope` of a token and in an API key. A token without a scope is a
 * member's, as tokens of the sandbox-service dialect have none.
 */
#ifndef ATOLL_ROLE_H
#define ATOLL_ROLE_H

/* X(symbol, word, meaning) */
#define ROLES(X)                                                                                   \
    X(ROLE_NONE, "none", "nothing but public routes")                                              \
    X(ROLE_VIEWER, "viewer", "see what the tenant has")                                            \
    X(ROLE_MEMBER, "member", "make and use sandboxes")                                             \
    X(ROLE_ADMIN, "admin", "manage the tenant's projects, API keys and webhooks")                  \
    X(ROLE_OPERATOR, "operator", "manage tenants, quotas and nodes")

enum role {
#define ROLE_ENUM(symbol, word, meaning) symbol,
    ROLES(ROLE_ENUM)
#undef ROLE_ENUM
};

/* The highest role that the space-separated words of `scope` name; other words say nothing. An
 * empty scope is ROLE_MEMBER, one without a word of ours ROLE_NONE. */
enum role role_of_scope(const char *scope);

const char *role_name(enum role role);

#endif
