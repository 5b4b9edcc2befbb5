/*
 * Who a request acts for. Every request but the public ones carries a JWT (`Authorization: Bearer`)
 * or an API key (the same, or `X-API-Key`); docs/authentication.md says which are taken. With
 * `auth.mode = "off"` everybody who reaches the port acts for the default tenant, so that mode is
 * bound to a loopback host.
 */
#ifndef SERVER_AUTH_AUTH_H
#define SERVER_AUTH_AUTH_H

#include "lib/auth/token.h"
#include "server/auth/directory.h"
#include "server/http.h"

#include <atoll/config.h>

struct auth;

/*
 * Loads the keys. `config` must live as long; `directory` is copied. Mode "off" is logged as a
 * warning, and asks the directory nothing.
 */
int auth_create(const struct config *config, const struct auth_directory *directory,
                struct auth **ret_auth, struct error *err);
void auth_destroy(struct auth *auth);

/* Has the files of keys and issuers read again; what is wrong is logged and changes nothing. */
void auth_reload(struct auth *auth, const struct config *config);

/*
 * Fails with ERR_UNAUTHENTICATED, having added WWW-Authenticate to the answer: the message is the
 * same whatever was wrong, the reason goes to the directory and, at level debug, to the log. Fails
 * with ERR_FORBIDDEN when the tenant is suspended or does not exist. Thread-safe.
 */
int auth_authenticate(struct auth *auth, struct http_request *request,
                      struct auth_identity *ret_identity, struct error *err);

/*
 * For the routes into one sandbox, whose credential is its secret (docs/api/executor.md), also with
 * `auth.mode = "off"`. `sandbox` NULL: the request names none. Who has the secret acts as a member
 * of the sandbox's project; *ret_hash is the secret's SHA-256. Fails with ERR_UNAUTHENTICATED, the
 * same for a wrong secret and for a sandbox that is not there; with ERR_FORBIDDEN when the tenant
 * is suspended. Thread-safe.
 */
int auth_authenticate_executor(struct auth *auth, struct http_request *request,
                               const struct id *sandbox, struct auth_identity *ret_identity,
                               unsigned char ret_hash[static AUTH_SECRET_HASH_SIZE],
                               struct error *err);

/* Notes that a caller lacks the role for a route, and returns -1 with ERR_FORBIDDEN. */
int auth_refuse_role(struct auth *auth, const struct http_request *request,
                     const struct auth_identity *identity, struct error *err);

/* Makes a token of the installation's own issuer. ERR_NOT_SUPPORTED without an HS256 key. */
int auth_issue_token(struct auth *auth, const struct auth_claims *claims, char **ret_token,
                     struct error *err);

#endif
