/*
 * How much tenants keep in the database as definitions: a bounded number of them, and of bytes
 * (sandbox.max_definitions, sandbox.max_definition_mb).
 *
 * A counter in the database would have a tenant's creates wait for each other. So each server adds
 * up what it stores, and has the database count now and then, and before it refuses. What is under
 * way, and what other servers store in the meantime, may pass a limit by as much. Thread-safe.
 */
#ifndef SERVER_SERVICES_HOLDINGS_H
#define SERVER_SERVICES_HOLDINGS_H

#include "server/services/services.h"

struct holdings;

int holdings_create(struct holdings **ret_holdings, struct error *err);
void holdings_free(struct holdings *holdings); /* NULL is allowed */

/* What a definition, or files of one, add. */
struct store_holding holding_of(const struct sandbox_definition *definition);
struct store_holding holding_of_files(const struct sandbox_files *files);

/* ERR_TOO_MANY when the caller's tenant may not keep this much more. */
int holdings_add(struct services *services, const struct caller *caller,
                 const struct store_holding *more, struct error *err);

#endif
