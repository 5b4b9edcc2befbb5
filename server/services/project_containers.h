/*
 * Containers that their client finds by a name of his own, one a name (docs/api/containers.md): a
 * view of containers.h. The name is unique in the caller's project, or in the tenant's default one
 * for a caller who is bound to none; the database sees to it.
 */
#ifndef SERVER_SERVICES_PROJECT_CONTAINERS_H
#define SERVER_SERVICES_PROJECT_CONTAINERS_H

#include "server/services/containers.h"

/*
 * The running container of the name `spec->client_name`: the one that is there, started when it had
 * stopped, whatever else the specification says; else a new one. Calls at the same time get the
 * same one. *ret_is_new tells which; ERR_CONFLICT when its state keeps changing for seconds. The
 * caller frees the record, here and below.
 */
int project_containers_ensure(struct services *services, const struct caller *caller,
                              const struct container_spec *spec,
                              struct container_record *ret_record, bool *ret_is_new,
                              struct error *err);

/* ERR_NOT_FOUND also for one that is stopped or being deleted: to its client it is gone. */
int project_containers_find(struct services *services, const struct caller *caller,
                            const char *name, struct container_record *ret_record,
                            struct error *err);

/*
 * Ends it; its files stay, for the next create, unless `with_files`, which also takes those of one
 * that is stopped.
 */
int project_containers_delete(struct services *services, const struct caller *caller,
                              const char *name, bool with_files, struct error *err);

#endif
