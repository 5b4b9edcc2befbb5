/* The schema of the database, brought up to this program's. */
#ifndef CLI_MIGRATE_H
#define CLI_MIGRATE_H

#include "lib/config/config.h"

/* Migrates with database.owner_url and prints each migration that it applied. */
int migrate_run(const struct config *config, struct error *err);

#endif
