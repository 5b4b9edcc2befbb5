/*
 * The stored sandboxes of the sandbox-service dialect: their definitions, as a caller sees them.
 * Every function is scoped by the caller's tenant; a foreign sandbox is ERR_NOT_FOUND, as a missing
 * one is.
 */
#ifndef SERVER_SERVICES_SANDBOXES_H
#define SERVER_SERVICES_SANDBOXES_H

#include "server/services/services.h"

#include <atoll/sandbox.h>

/* A page of sandboxes, newest first. `more` says that another follows. */
struct sandbox_list {
    struct sandbox_record *items;
    size_t count;
    bool more;
};

void sandbox_list_free(struct sandbox_list *list);

/* Stores a definition; it is durable when this returns. */
int sandboxes_create(struct services *services, const struct caller *caller,
                     const struct sandbox_definition *definition, struct sandbox_record *ret_record,
                     struct error *err);

int sandboxes_get(struct services *services, const struct caller *caller, const struct id *sandbox,
                  struct sandbox_record *ret_record, struct error *err);

/* At most `limit` sandboxes that are older than `cursor`, or the newest when that is NULL. */
int sandboxes_list(struct services *services, const struct caller *caller, unsigned limit,
                   const struct id *cursor, struct sandbox_list *ret_list, struct error *err);

/* Adds files to the definition, replacing those of the same path. All or none. */
int sandboxes_put_files(struct services *services, const struct caller *caller,
                        const struct id *sandbox, const struct sandbox_files *files,
                        struct error *err);

/* Ends its executions and erases it. When this returns it is gone, durably. */
int sandboxes_delete(struct services *services, const struct caller *caller,
                     const struct id *sandbox, struct error *err);

#endif
