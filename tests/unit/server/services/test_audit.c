#include "server/services/audit.h"
#include "server/services/services.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct db_pool *pool;
static struct services services;

static int setup(void **state)
{
    if (postgres_test_setup(state) < 0)
        return -1;
    pool = postgres_pool("atoll_app", 1);
    return audit_start(pool, &services.audit, NULL);
}

static int teardown(void **state)
{
    (void)state;
    audit_stop(services.audit);
    services.audit = NULL;
    db_pool_free(pool);
    return 0;
}

/* Everything that was recorded is in the database when this returns. */
static void write_out(void)
{
    audit_stop(services.audit);
    services.audit = NULL;
}

static void refuse(const char *client, const char *reason)
{
    audit_record(&services, &(struct audit_event){.kind = "auth.failed",
                                                  .reason = reason,
                                                  .client = client,
                                                  .request_id = "first"});
}

static void test_what_a_row_shows(void **state)
{
    _cleanup_free_ char *detail = NULL;

    (void)state;
    audit_record(&services, &(struct audit_event){.tenant = default_tenant,
                                                  .kind = "auth.forbidden",
                                                  .reason = "missing_role",
                                                  .actor = "eve",
                                                  .client = "192.0.2.1",
                                                  .request_id = "r1"});
    write_out();
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE tenant_id = '%s' AND kind ="
                               " 'auth.forbidden' AND actor = 'eve' AND request_id = 'r1'",
                               &default_tenant),
                     1);
    detail = postgres_value("SELECT detail FROM events WHERE kind = 'auth.forbidden'");
    assert_string_equal(detail,
                        "{\"count\": 1, \"client\": \"192.0.2.1\", \"reason\": \"missing_role\"}");
}

static void *flood(void *argument)
{
    (void)argument;
    for (int i = 0; i < 5000; i++)
        refuse("192.0.2.1", "malformed");
    return NULL;
}

/* The thread may write one row before the rest; then a minute passes without another. */
static void test_repetition_is_counted(void **state)
{
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, flood, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    refuse("192.0.2.2", "malformed");
    refuse("192.0.2.1", "expired");
    write_out();
    assert_int_equal(postgres_number("SELECT sum((detail ->> 'count')::int) FROM events WHERE"
                                     " detail ->> 'client' = '192.0.2.1' AND"
                                     " detail ->> 'reason' = 'malformed'"),
                     20000);
    assert_in_range(postgres_number("SELECT count(*) FROM events WHERE kind = 'auth.failed'"), 3,
                    4);
}

/* Callers without number fill no more than their share, and leave tenants theirs. */
static void test_many_callers_stay_few_rows(void **state)
{
    char client[32];

    (void)state;
    for (int i = 0; i < 4000; i++) {
        (void)snprintf(client, sizeof(client), "192.0.%d.%d", i / 250, i % 250);
        refuse(client, "unknown_key");
    }
    audit_record(&services,
                 &(struct audit_event){.tenant = default_tenant, .kind = "auth.forbidden"});
    write_out();
    assert_int_equal(postgres_number("SELECT sum((detail ->> 'count')::int) FROM events"
                                     " WHERE kind = 'auth.failed'"),
                     4000);
    assert_in_range(postgres_number("SELECT count(*) FROM events WHERE kind = 'auth.failed'"),
                    AUDIT_ANONYMOUS_MAX + 1, AUDIT_ANONYMOUS_MAX + 2);
    assert_int_equal(postgres_number("SELECT sum((detail ->> 'count')::int) FROM events"
                                     " WHERE detail ->> 'client' = 'many'"),
                     4000 - AUDIT_ANONYMOUS_MAX);
    assert_int_equal(postgres_number("SELECT count(*) FROM events WHERE kind = 'auth.forbidden'"),
                     1);
}

static void test_single_events_stay_apart(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        audit_record(&services, &(struct audit_event){.tenant = default_tenant,
                                                      .kind = "admin.tried",
                                                      .is_single = true});
    write_out();
    assert_int_equal(postgres_number("SELECT count(*) FROM events WHERE kind = 'admin.tried'"), 5);
}

static void test_a_database_that_is_away_loses_nothing(void **state)
{
    (void)state;
    postgres_stop();
    refuse("192.0.2.1", "malformed");
    refuse("192.0.2.1", "malformed");
    postgres_start();
    while (db_ping(pool, NULL) < 0)
        usleep(10000); /* the pool pauses before it connects again */
    write_out();
    assert_int_equal(postgres_number("SELECT sum((detail ->> 'count')::int) FROM events"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_a_row_shows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repetition_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_callers_stay_few_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_single_events_stay_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_database_that_is_away_loses_nothing, setup,
                                        teardown),
    };

    return cmocka_run_group_tests_name("server/services/audit", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
