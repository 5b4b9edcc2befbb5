/*
 * Values that depend on who runs `atoll` and on what else is set. Only keys that nobody set
 * change:
 *
 * - an ordinary user's state lives in ./.atoll/state and /run/atoll-UID, and the daemons run as
 *   that user; root's are those of the table;
 * - without a database.url, the three connection strings lead to the private PostgreSQL;
 * - with auth.mode "jwt" and no key named, the HS256 key is <state>/auth/hs256.key.
 */
#ifndef CLI_DEFAULTS_H
#define CLI_DEFAULTS_H

#include "lib/config/config.h"

/* Names in the folders of the state and of the sockets. */
#define DEFAULTS_KEY_NAME      "auth/hs256.key"
#define DEFAULTS_POSTGRES_NAME "postgres"

int defaults_fill(struct config *config, const struct config_origins *origins, struct error *err);

/* True when nobody set a connection string: `atoll dev` runs the database. */
bool defaults_private_database(const struct config_origins *origins);

#endif
