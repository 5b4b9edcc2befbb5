/*
 * Who a request acts for. Every request but the public ones carries `Authorization: Bearer` with
 * a JWT; docs/authentication.md says which tokens are taken. With `auth.mode = "off"` everybody
 * who reaches the port acts for the default tenant, so that mode is bound to a loopback host.
 */
#ifndef SERVER_AUTH_AUTH_H
#define SERVER_AUTH_AUTH_H

#include "lib/auth/token.h"
#include "server/http.h"

#include <atoll/config.h>

struct auth;

/* Loads the keys. `config` must live as long. Mode "off" is logged as a warning. */
int auth_create(const struct config *config, struct auth **ret_auth, struct error *err);
void auth_destroy(struct auth *auth);

/*
 * Fails with ERR_UNAUTHENTICATED, having added WWW-Authenticate to the answer. The message is the
 * same whatever was wrong; the reason goes to the log at level debug. Thread-safe.
 */
int auth_authenticate(struct auth *auth, struct http_request *request,
                      struct auth_identity *ret_identity, struct error *err);

/* The token of an Authorization value, NULL when it is not of the form `Bearer <token>`. */
const char *auth_bearer_token(const char *authorization);

/* True for localhost, 127.0.0.0/8 and ::1, written as numbers: only this machine gets there. */
bool auth_host_is_loopback(const char *host);

#endif
