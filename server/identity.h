/*
 * The seam between authentication and the services, which do not know each other: what one asks of
 * the other goes through here.
 */
#ifndef SERVER_IDENTITY_H
#define SERVER_IDENTITY_H

#include "server/auth/auth.h"
#include "server/services/tokens.h"

/* Answers authentication from the services' database; notes refusals as events. */
struct auth_directory identity_directory(struct services *services);

/* Signs the services' tokens with the installation's own key. */
struct token_maker identity_token_maker(struct auth *auth);

#endif
