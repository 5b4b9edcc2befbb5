/*
 * A private PostgreSQL cluster for a test program: its own folder, a unix socket, no TCP port, no
 * fsync. One cluster a program; each test may ask for a fresh database.
 */
#ifndef TESTS_UNIT_SUPPORT_POSTGRES_H
#define TESTS_UNIT_SUPPORT_POSTGRES_H

#include "lib/db/db.h"

enum { POSTGRES_URL_SIZE = 160 };

/* Group set-up and tear-down of cmocka: initdb, start; stop, remove. ATOLL_TEST_FSYNC=1 in the
 * environment makes it durable, for measuring. */
int postgres_group_setup(void **state);
int postgres_group_teardown(void **state);

/* Test set-up: drops the database and makes it again, migrated by the built-in migrations. */
int postgres_test_setup(void **state);

/* The same without the schema. */
int postgres_empty_setup(void **state);

/* The connection string of a role: atoll_owner, atoll_app, atoll_system, postgres (superuser). */
const char *postgres_url(const char *role, char url[static POSTGRES_URL_SIZE]);

/* A pool of `size` connections of a role; a failure fails the test. */
struct db_pool *postgres_pool(const char *role, size_t size);

/* postgres_test_setup with a pool of the server's role; and the teardown that frees it. */
int postgres_pool_setup(void **state, size_t size, struct db_pool **ret_pool);
int postgres_pool_teardown(struct db_pool **pool);

/*
 * postgres_test_setup with a pool of each role, for tests that look on as one and act as the other;
 * and the teardown that frees them.
 */
int postgres_pools_setup(void **state, struct db_pool **ret_app, struct db_pool **ret_system);
int postgres_pools_teardown(struct db_pool **app, struct db_pool **system);

/* Runs SQL as the superuser; a failure fails the test. */
void postgres_execute(const char *sql);

/* The first field of the first row as text, "" when there is none. Caller frees. */
char *postgres_value(const char *sql);
long postgres_number(const char *sql);

/* Runs SQL as a role and returns the SQLSTATE it fails with, "" when it succeeds. Caller frees. */
char *postgres_sqlstate(const char *role, const char *sql);

/* Fast shutdown, and start again; both wait until it is done. */
void postgres_stop(void);
void postgres_start(void);

#endif
