/* How the private cluster comes to be, and what a crash of it leaves behind. */
#ifndef CLI_CLUSTER_INIT_H
#define CLI_CLUSTER_INIT_H

#include "cli/cluster.h"

/*
 * Makes the data folder with roles and database. It gets its name only when it is complete: a
 * killed first start leaves nothing that a second one would take for a cluster.
 */
int cluster_create(const struct cluster *cluster, struct supervisor *supervisor, struct error *err);

/* Ends a PostgreSQL that outlived its supervisor and removes a stale postmaster.pid. */
int cluster_clear_leftovers(const struct cluster *cluster, struct error *err);

#endif
