#include "tests/unit/support/postgres.h"

#include "lib/db/connection.h"
#include "lib/db/migrate.h"

#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    char folder[64];
    char bin[128]; /* where initdb and pg_ctl are */
    uid_t uid;     /* who runs it: PostgreSQL refuses root */
    gid_t gid;
} cluster;

static int find_programs(void)
{
    glob_t found;

    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) != 0) {
        print_error("no /usr/lib/postgresql/*/bin/initdb: install Debian's postgresql\n");
        return -1;
    }
    /* The last is the newest; only its folder counts. */
    (void)snprintf(cluster.bin, sizeof(cluster.bin), "%s", found.gl_pathv[found.gl_pathc - 1]);
    *strrchr(cluster.bin, '/') = '\0';
    globfree(&found);
    return 0;
}

static void find_user(void)
{
    const struct passwd *entry = getpwnam("postgres");

    cluster.uid = getuid();
    cluster.gid = getgid();
    if (cluster.uid != 0)
        return;
    if (!entry)
        entry = getpwnam("nobody");
    cluster.uid = entry ? entry->pw_uid : 65534;
    cluster.gid = entry ? entry->pw_gid : 65534;
}

/*
 * Runs a program of the cluster's as its user, its output in the folder's `log`. arguments[0]
 * becomes its path: PostgreSQL's programs find each other by it, and Debian has them not in PATH.
 */
static int run(const char *program, char *arguments[])
{
    char path[192];
    char log[96];
    int status;
    pid_t pid;

    (void)snprintf(path, sizeof(path), "%s/%s", cluster.bin, program);
    (void)snprintf(log, sizeof(log), "%s/log", cluster.folder);
    arguments[0] = path;
    pid = fork();
    if (pid == 0) {
        int fd;

        if (getuid() == 0 && (setgroups(0, NULL) < 0 || setgid(cluster.gid) < 0 ||
                              setuid(cluster.uid) < 0 || chdir("/") < 0))
            _exit(126);
        fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
            _exit(126);
        execv(path, arguments);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0) {
        print_error("%s failed: see %s\n", path, log);
        return -1;
    }
    return 0;
}

static int run_initdb(const char *data)
{
    char *arguments[] = {NULL, "-D",   (char *)data,       "-U",        "postgres", "-A", "trust",
                         "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", NULL};

    return run("initdb", arguments);
}

static int control(const char *action)
{
    char data[96];
    char options[256];
    const char *durable = getenv("ATOLL_TEST_FSYNC") ? "on" : "off";

    (void)snprintf(data, sizeof(data), "%s/data", cluster.folder);
    (void)snprintf(options, sizeof(options),
                   "-k %s -c listen_addresses='' -c fsync=%s -c max_connections=60"
                   " -c autovacuum=off",
                   cluster.folder, durable);
    char *arguments[] = {NULL,   "-D", data, "-o", options,        "-m",
                         "fast", "-w", "-t", "60", (char *)action, NULL};

    return run("pg_ctl", arguments);
}

int postgres_group_setup(void **state)
{
    char data[96];

    (void)state;
    (void)snprintf(cluster.folder, sizeof(cluster.folder), "/tmp/atoll-pg-XXXXXX");
    if (find_programs() < 0 || !mkdtemp(cluster.folder))
        return -1;
    find_user();
    if (getuid() == 0 && chown(cluster.folder, cluster.uid, cluster.gid) < 0)
        return -1;
    (void)snprintf(data, sizeof(data), "%s/data", cluster.folder);
    if (run_initdb(data) < 0 || control("start") < 0)
        return -1;
    postgres_execute("CREATE ROLE atoll_owner LOGIN CREATEROLE");
    return 0;
}

int postgres_group_teardown(void **state)
{
    char command[96];

    (void)state;
    (void)control("stop");
    (void)snprintf(command, sizeof(command), "rm -rf -- '%s'", cluster.folder);
    return system(command) == 0 ? 0 : -1;
}

/* PostgreSQL waits 5 s for those that it throws out, which a busy machine may not give them. */
static bool drop_database(void)
{
    _cleanup_free_ char *sqlstate =
        postgres_sqlstate("postgres", "DROP DATABASE IF EXISTS atoll WITH (FORCE)");

    if (strcmp(sqlstate, "") != 0 && strcmp(sqlstate, "55006") != 0) /* object_in_use */
        fail_msg("the database cannot be dropped: %s", sqlstate);
    return strcmp(sqlstate, "") == 0;
}

int postgres_empty_setup(void **state)
{
    (void)state;
    while (!drop_database())
        continue;
    postgres_execute("CREATE DATABASE atoll OWNER atoll_owner");
    return 0;
}

int postgres_test_setup(void **state)
{
    char url[POSTGRES_URL_SIZE];
    struct error err;

    (void)postgres_empty_setup(state);
    if (db_migrate(postgres_url("atoll_owner", url), db_migrations, db_migrations_count, NULL, NULL,
                   &err) < 0) {
        print_error("%s\n", err.message);
        return -1;
    }
    return 0;
}

const char *postgres_url(const char *role, char url[static POSTGRES_URL_SIZE])
{
    (void)snprintf(url, POSTGRES_URL_SIZE, "host=%s user=%s dbname=atoll", cluster.folder, role);
    return url;
}

struct db_pool *postgres_pool(const char *role, size_t size)
{
    char url[POSTGRES_URL_SIZE];
    struct db_pool *pool = NULL;

    assert_int_equal(db_pool_create(postgres_url(role, url), size, "test", &pool, NULL), 0);
    return pool;
}

static void ignore_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

/* Statements about databases run outside of the one they are about. */
static PGconn *connect_as(const char *role, const char *sql)
{
    char url[POSTGRES_URL_SIZE + 32];
    PGconn *pg;

    (void)postgres_url(role, url);
    if (strstr(sql, "DATABASE") || strstr(sql, "CREATE ROLE"))
        (void)strcat(url, " dbname=postgres");
    pg = PQconnectdb(url);
    if (PQstatus(pg) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(pg));
    (void)PQsetNoticeProcessor(pg, ignore_notice, NULL);
    return pg;
}

char *postgres_value(const char *sql)
{
    PGconn *pg = connect_as("postgres", sql);
    _cleanup_pg_result_ PGresult *result = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(result);
    char *value;

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(pg));
    value = strdup(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQfinish(pg);
    return value;
}

int postgres_pool_setup(void **state, size_t size, struct db_pool **ret_pool)
{
    *ret_pool = NULL;
    if (postgres_test_setup(state) < 0)
        return -1;
    *ret_pool = postgres_pool("atoll_app", size);
    return 0;
}

int postgres_pool_teardown(struct db_pool **pool)
{
    db_pool_free(*pool);
    *pool = NULL;
    return 0;
}

int postgres_pools_setup(void **state, struct db_pool **ret_app, struct db_pool **ret_system)
{
    *ret_app = NULL;
    *ret_system = NULL;
    if (postgres_test_setup(state) < 0)
        return -1;
    *ret_app = postgres_pool("atoll_app", 2);
    *ret_system = postgres_pool("atoll_system", 4);
    return 0;
}

int postgres_pools_teardown(struct db_pool **app, struct db_pool **system)
{
    db_pool_free(*app);
    db_pool_free(*system);
    *app = NULL;
    *system = NULL;
    return 0;
}

void postgres_execute(const char *sql)
{
    free(postgres_value(sql));
}

long postgres_number(const char *sql)
{
    _cleanup_free_ char *value = postgres_value(sql);

    return strtol(value, NULL, 10);
}

char *postgres_sqlstate(const char *role, const char *sql)
{
    PGconn *pg = connect_as(role, sql);
    _cleanup_pg_result_ PGresult *result = PQexec(pg, sql);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    char *copy = strdup(sqlstate ? sqlstate : "");

    PQfinish(pg);
    return copy;
}

void postgres_stop(void)
{
    assert_int_equal(control("stop"), 0);
}

void postgres_start(void)
{
    assert_int_equal(control("start"), 0);
}
