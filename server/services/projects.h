/*
 * The projects of the caller's tenant. A caller that is bound to one sees that one alone, and makes
 * and deletes none. See lib/db/store_project.h for errors and for who frees what.
 */
#ifndef SERVER_SERVICES_PROJECTS_H
#define SERVER_SERVICES_PROJECTS_H

#include "lib/db/store_project.h"
#include "server/services/services.h"

/* A page, newest first. `more` says that another follows. */
struct project_list {
    struct project_record *items;
    size_t count;
    bool more;
};

void project_list_free(struct project_list *list);

int projects_create(struct services *services, const struct caller *caller,
                    const struct store_project_change *project, struct project_record *ret_record,
                    struct error *err);

int projects_get(struct services *services, const struct caller *caller, const struct id *project,
                 struct project_record *ret_record, struct error *err);

/* At most `limit` projects that are older than `cursor`, or the newest when that is NULL. */
int projects_list(struct services *services, const struct caller *caller, uint32_t limit,
                  const struct id *cursor, struct project_list *ret_list, struct error *err);

int projects_patch(struct services *services, const struct caller *caller, const struct id *project,
                   const struct store_project_change *change, int64_t version,
                   struct project_record *ret_record, struct error *err);

int projects_delete(struct services *services, const struct caller *caller,
                    const struct id *project, int64_t version, struct error *err);

#endif
