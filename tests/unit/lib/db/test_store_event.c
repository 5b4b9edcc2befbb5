/* The log against a real PostgreSQL: a look at it is bounded, and misses nothing. */
#include "lib/db/store_event.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { LIMIT = 50 };

static struct db_pool *app;

static int setup(void **state)
{
    return postgres_pool_setup(state, 1, &app);
}

static int teardown(void **state)
{
    (void)state;
    return postgres_pool_teardown(&app);
}

/* `count` events of the default tenant, of `age_s` seconds ago. */
static void write_events(const char *kind, int count, int age_s)
{
    char sql[512];

    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO events (tenant_id, project_id, kind, at) SELECT p.tenant_id, p.id,"
                   " '%s', now() - interval '%d seconds' FROM projects p, generate_series(1, %d)"
                   " WHERE p.is_default AND p.tenant_id = '00000000-0000-7000-8000-000000000001'",
                   kind, age_s, count);
    postgres_execute(sql);
}

/* Follows from the log's beginning; how many calls and events until there is no more. */
static void follow_all(const struct db_scope *scope, const char *kind, int *ret_calls,
                       size_t *ret_events)
{
    const struct store_event_filter filter = {.kind = kind};
    struct store_event_place place = {0};
    bool more = true;

    *ret_calls = 0;
    *ret_events = 0;
    while (more) {
        struct store_events events;

        assert_int_equal(
            store_event_follow(app, scope, &filter, &place, LIMIT, &events, &more, NULL), 0);
        ++*ret_calls;
        *ret_events += events.count;
        store_events_free(&events);
    }
}

static void page_all(const struct db_scope *scope, const struct store_event_filter *filter,
                     int *ret_calls, size_t *ret_events)
{
    struct store_event_place next;
    bool more = true;

    *ret_calls = 0;
    *ret_events = 0;
    while (more) {
        struct store_events events;

        assert_int_equal(store_event_list(app, scope, filter, *ret_calls > 0 ? &next : NULL, LIMIT,
                                          &events, &more, &next, NULL),
                         0);
        ++*ret_calls;
        *ret_events += events.count;
        store_events_free(&events);
    }
}

static void test_a_stream_looks_at_some_at_a_time(void **state)
{
    size_t events;
    int calls;

    (void)state;
    write_events("test.many", 3 * STORE_EVENT_FOLLOW_LOOK, 0);
    write_events("test.last", 1, 0);
    follow_all(&default_scope, "nothing.", &calls, &events);
    assert_int_equal(calls, 4);
    assert_int_equal(events, 0);
    follow_all(&default_scope, "test.last", &calls, &events);
    assert_int_equal(calls, 4);
    assert_int_equal(events, 1);
    follow_all(&default_scope, "test.", &calls, &events);
    assert_int_equal(events, 3 * STORE_EVENT_FOLLOW_LOOK + 1);
}

static void test_a_page_looks_at_some_at_a_time(void **state)
{
    struct store_event_filter filter = {.kind = "test.first"};
    size_t events;
    int calls;

    (void)state;
    write_events("test.first", 1, 0);
    write_events("test.many", 2 * STORE_EVENT_PAGE_LOOK, 0);
    page_all(&default_scope, &filter, &calls, &events);
    assert_int_equal(calls, 3);
    assert_int_equal(events, 1);
    filter.kind = "test.many";
    page_all(&default_scope, &filter, &calls, &events);
    assert_int_equal(events, 2 * STORE_EVENT_PAGE_LOOK);
    filter.kind = NULL;
    page_all(&default_scope, &filter, &calls, &events);
    assert_int_equal(events, 2 * STORE_EVENT_PAGE_LOOK + 1);
    assert_int_equal(calls, (2 * STORE_EVENT_PAGE_LOOK + 1 + LIMIT - 1) / LIMIT);
}

/* The rest of the log need not be looked at for what cannot be there. */
static void test_pages_end_where_all_is_too_old(void **state)
{
    struct store_event_filter filter = {.since_usec = 1};
    size_t events;
    int calls;

    (void)state;
    write_events("test.old", 3 * STORE_EVENT_PAGE_LOOK, 3600);
    write_events("test.new", 3, 0);
    filter.since_usec =
        postgres_number("SELECT extract(epoch FROM now() - interval '1 minute')::bigint * 1000000");
    page_all(&default_scope, &filter, &calls, &events);
    assert_int_equal(calls, 1);
    assert_int_equal(events, 3);
}

/* Whose project has nothing in a long log does not read all of it at once. */
static void test_a_project_is_looked_for_in_the_same_steps(void **state)
{
    struct db_scope bound = default_scope;
    const struct store_event_filter all = {.kind = NULL};
    size_t events;
    int calls;

    (void)state;
    write_events("test.many", 2 * STORE_EVENT_PAGE_LOOK, 0);
    bound.has_project = true;
    assert_int_equal(id_new(&bound.project, NULL), 0);
    page_all(&bound, &all, &calls, &events);
    assert_int_equal(calls, 3);
    assert_int_equal(events, 0);
    follow_all(&bound, NULL, &calls, &events);
    assert_int_equal(calls, 2 * STORE_EVENT_PAGE_LOOK / STORE_EVENT_FOLLOW_LOOK + 1);
    assert_int_equal(events, 0);
}

static void test_another_tenant_s_log_is_not_measured(void **state)
{
    _cleanup_free_ char *sqlstate = NULL;

    (void)state;
    sqlstate = postgres_sqlstate(
        "atoll_app", "SELECT set_config('atoll.tenant', '00000000-0000-7000-8000-000000000001',"
                     " true); SELECT atoll_events_reach(gen_random_uuid(), '0', 0, 1, false)");
    assert_string_equal(sqlstate, "42501");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stream_looks_at_some_at_a_time),
        TEST(test_a_page_looks_at_some_at_a_time),
        TEST(test_pages_end_where_all_is_too_old),
        TEST(test_a_project_is_looked_for_in_the_same_steps),
        TEST(test_another_tenant_s_log_is_not_measured),
    };

    return cmocka_run_group_tests_name("db/store_event", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
