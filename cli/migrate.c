#include "cli/migrate.h"

#include "cli/cli.h"
#include "lib/db/migrate.h"
#include <stdio.h>

static void print_applied(const struct db_migration *migration, bool applied, void *context)
{
    size_t *count = context;

    if (!applied)
        return;
    *count += 1;
    (void)printf("migration %04d %s is applied\n", migration->version, migration->name);
    (void)fflush(stdout);
}

static int migrate(const struct config *config, size_t *ret_count, struct error *err)
{
    *ret_count = 0;
    return db_migrate(config->database_owner_url, db_migrations, db_migrations_count, print_applied,
                      ret_count, err);
}

int migrate_run(const struct config *config, struct error *err)
{
    size_t count;

    if (migrate(config, &count, err) < 0)
        return error_wrap(err, "migrating the database");
    return 0;
}

int cli_migrate(struct cli *cli, struct error *err)
{
    size_t count;

    if (cli->config.database_owner_url[0] == '\0')
        return error_set(err, ERR_BAD_REQUEST, "migrate needs database.owner_url");
    if (migrate(&cli->config, &count, err) < 0)
        return -1;
    if (count == 0)
        (void)printf("the database is up to date\n");
    return CLI_OK;
}
