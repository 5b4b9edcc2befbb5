/*
 * Migrations: numbered SQL scripts that are built into the programs, applied in order and never
 * changed afterwards. The table schema_migrations records each with its SHA-256.
 *
 * A script runs in one transaction with its record, so that it is applied whole or not at all. It
 * may not begin or end transactions itself.
 */
#ifndef LIB_DB_MIGRATE_H
#define LIB_DB_MIGRATE_H

#include "lib/db/db.h"

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>

struct db_migration {
    int version;      /* 1, 2, 3, ... without gaps */
    const char *name; /* the file's name without number and suffix */
    const char *sql;
};

/* What the build embedded of migrations/ (scripts/embed-migrations). */
extern const struct db_migration db_migrations[];
extern const size_t db_migrations_count;

/* Called for each migration: `applied` is true when this call applied it. */
typedef void (*db_migrate_progress)(const struct db_migration *migration, bool applied,
                                    void *context);

/*
 * Brings the database's schema up to the list's end as the schema's owner. Serialised by an
 * advisory lock (waits up to a minute for another's). `progress` may be NULL. Fails with
 * ERR_CONFLICT, changing nothing, when an applied migration is not the one of the same number in
 * the list, or when the database is newer than the list. A database that came from another cluster
 * by a dump is made to go on in this one (migrations/0008_restore.sql).
 */
int db_migrate(const char *owner_url, const struct db_migration *list, size_t count,
               db_migrate_progress progress, void *context, struct error *err);

/*
 * For a daemon's start: the schema must be exactly the one that the list ends with, and the role
 * must be bound by row-level security. ERR_CONFLICT with what to do when not; ERR_UNAVAILABLE when
 * the database is away (ask again later).
 */
int db_check_schema(struct db_pool *pool, const struct db_migration *list, size_t count,
                    struct error *err);

/* The same of the cluster: ERR_CONFLICT when the database came from another one and was not
 * migrated since. Transactions have other numbers here, by which events are in order. */
int db_check_cluster(struct db_pool *pool, struct error *err);

#endif
