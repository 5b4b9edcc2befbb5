/*
 * Why a caller was refused: for the log and for the event, never for the answer, which is the same
 * whatever the reason. The table is the only declaration of the words.
 */
#ifndef LIB_AUTH_REASON_H
#define LIB_AUTH_REASON_H

/* X(symbol, word, meaning) */
#define AUTH_REASONS(X)                                                                            \
    X(AUTH_NO_CREDENTIAL, "no_credential", "neither a token nor an API key came")                  \
    X(AUTH_MALFORMED, "malformed", "the token or key has not the form of one")                     \
    X(AUTH_WRONG_TYPE, "wrong_type", "`typ` is not JWT")                                           \
    X(AUTH_WRONG_ALGORITHM, "wrong_algorithm", "`alg` is not one of the issuer's")                 \
    X(AUTH_WRONG_ISSUER, "wrong_issuer", "`iss` is none of the configured issuers")                \
    X(AUTH_WRONG_AUDIENCE, "wrong_audience", "`aud` does not name this service")                   \
    X(AUTH_UNKNOWN_KEY, "unknown_key", "the issuer has no key of this `kid`, or no such API key")  \
    X(AUTH_WRONG_SIGNATURE, "wrong_signature", "the signature is not by the issuer's key")         \
    X(AUTH_EXPIRED, "expired", "the token's or key's time is over")                                \
    X(AUTH_NOT_YET_VALID, "not_yet_valid", "`nbf` or `iat` is in the future")                      \
    X(AUTH_WRONG_CLAIM, "wrong_claim", "a claim has the wrong type, length or value")              \
    X(AUTH_WRONG_TENANT, "wrong_tenant", "the issuer speaks for another tenant")                   \
    X(AUTH_REVOKED_KEY, "revoked_key", "the API key, or the one the token was made with, is gone") \
    X(AUTH_UNKNOWN_TENANT, "unknown_tenant", "the tenant does not exist")                          \
    X(AUTH_SUSPENDED_TENANT, "suspended_tenant", "the tenant is suspended")                        \
    X(AUTH_WRONG_SECRET, "wrong_secret", "it is not the sandbox's secret, or there is none")       \
    X(AUTH_MISSING_ROLE, "missing_role", "the route needs a higher role")

enum auth_reason {
#define AUTH_REASON_ENUM(symbol, word, meaning) symbol,
    AUTH_REASONS(AUTH_REASON_ENUM)
#undef AUTH_REASON_ENUM
};

/* The word of an event, e.g. "wrong_issuer". */
const char *auth_reason_word(enum auth_reason reason);

#endif
