/*
 * Who uses a container: what its idle timeout counts from. Requests and streams note a use here,
 * and a thread writes what was noted, each second, with one statement a tenant. What counts as use
 * is the table of docs/api/processes.md; statements that begin or end a command, and those that
 * look a container up for its files, write it themselves.
 */
#ifndef SERVER_SERVICES_ACTIVITY_H
#define SERVER_SERVICES_ACTIVITY_H

#include "server/services/services.h"

struct activity;

int activity_start(struct db_pool *db, struct activity **ret_activity, struct error *err);

/* Writes what is left and stops. NULL is allowed. */
void activity_stop(struct activity *activity);

/* Notes a use of a container of the tenant, who may have none of that id. */
void activity_note(struct activity *activity, const struct id *tenant, const struct id *sandbox);

#endif
