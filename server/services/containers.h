/*
 * Containers as a caller sees them: made, found, changed, started and stopped, removed
 * (docs/api/sandboxes.md). Every function is scoped by the caller's tenant and project; a container
 * outside of it is ERR_NOT_FOUND, as a missing one is.
 *
 * A change of state is ERR_CONFLICT when the container is in a state that it cannot begin from, or
 * when another call is changing it; where the state is reached already it does nothing and
 * succeeds.
 */
#ifndef SERVER_SERVICES_CONTAINERS_H
#define SERVER_SERVICES_CONTAINERS_H

#include "lib/db/store_container.h"
#include "server/services/services.h"

/*
 * Makes a container and starts it. When it cannot be started, nothing of it is left. The caller
 * frees the record, here and below.
 */
int containers_create(struct services *services, const struct caller *caller,
                      const struct container_spec *spec, struct container_record *ret_record,
                      struct error *err);

int containers_get(struct services *services, const struct caller *caller, const struct id *id,
                   struct container_record *ret_record, struct error *err);

/* At most `filter->limit`; *ret_more says that another page follows. */
int containers_list(struct services *services, const struct caller *caller,
                    const struct store_container_filter *filter, struct container_list *ret_list,
                    bool *ret_more, struct error *err);

int containers_patch(struct services *services, const struct caller *caller, const struct id *id,
                     const struct store_container_patch *patch, int64_t version,
                     struct container_record *ret_record, struct error *err);

/* The record with its environment. */
int containers_get_environment(struct services *services, const struct caller *caller,
                               const struct id *id, struct container_record *ret_record,
                               struct error *err);

/* See store_container_environment; it counts from the next start on. */
int containers_set_environment(struct services *services, const struct caller *caller,
                               const struct id *id, const char *env_json, bool merge,
                               int64_t version, struct container_record *ret_record,
                               struct error *err);

/* See store_container_entrypoint; it counts from the next start on. */
int containers_set_entrypoint(struct services *services, const struct caller *caller,
                              const struct id *id, const char *entrypoint_json,
                              const char *command_json, int64_t version,
                              struct container_record *ret_record, struct error *err);

/* When this returns it is gone with its disk and its logs, durably. */
int containers_delete(struct services *services, const struct caller *caller, const struct id *id,
                      int64_t version, struct error *err);

/* A change of state, and one that gives the main command so long to end. */
typedef int (*container_change)(struct services *services, const struct caller *caller,
                                const struct id *id, struct container_record *ret_record,
                                struct error *err);
typedef int (*container_timed_change)(struct services *services, const struct caller *caller,
                                      const struct id *id, uint32_t timeout_s,
                                      struct container_record *ret_record, struct error *err);

/* From stopped or failed to running, with the disk as it was. */
int containers_start(struct services *services, const struct caller *caller, const struct id *id,
                     struct container_record *ret_record, struct error *err);

/* From running or paused to stopped: TERM to the main command, after `timeout_s` KILL to all. */
int containers_stop(struct services *services, const struct caller *caller, const struct id *id,
                    uint32_t timeout_s, struct container_record *ret_record, struct error *err);

/* Stop, where it runs, and start. */
int containers_restart(struct services *services, const struct caller *caller, const struct id *id,
                       uint32_t timeout_s, struct container_record *ret_record, struct error *err);

/* From running to paused: its processes stand still. */
int containers_pause(struct services *services, const struct caller *caller, const struct id *id,
                     struct container_record *ret_record, struct error *err);

/* From paused to running. */
int containers_resume(struct services *services, const struct caller *caller, const struct id *id,
                      struct container_record *ret_record, struct error *err);

#endif
