/* Deliveries against a real PostgreSQL: none missed, none twice, each claimed by one. */
#include "lib/db/store_delivery.h"
#include "lib/db/store_webhook.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <postgresql/libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct db_pool *app;
static struct db_pool *system_pool;

static int setup(void **state)
{
    return postgres_pools_setup(state, &app, &system_pool);
}

static int teardown(void **state)
{
    (void)state;
    return postgres_pools_teardown(&app, &system_pool);
}

static struct id make_webhook(const char *kinds_json)
{
    const struct db_scope scope = {.tenant = default_tenant};
    _cleanup_(webhook_record_free) struct webhook_record record = {.owner = NULL};
    struct webhook_spec spec = {
        .url = "https://example.com/", .secret = "0123456789abcdef", .kinds_json = kinds_json};

    assert_int_equal(id_new(&spec.id, NULL), 0);
    assert_int_equal(store_webhook_insert(app, &scope, &spec, &test_origin, &record, NULL), 0);
    return spec.id;
}

static void make_events(int count)
{
    char sql[256];

    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO events (tenant_id, kind) SELECT"
                   " '00000000-0000-7000-8000-000000000001', 'test.made' FROM"
                   " generate_series(1, %d)",
                   count);
    postgres_execute(sql);
}

static void fan_out_for(uint32_t waiting_max)
{
    bool more = true;

    while (more)
        assert_int_equal(store_delivery_fan_out(system_pool, 3, waiting_max, &more, NULL), 0);
}

static void fan_out(void)
{
    fan_out_for(1000);
}

static size_t claim(uint32_t total, uint32_t per_webhook, uint32_t lease_ms)
{
    _cleanup_(delivery_claims_free) struct delivery_claims claims = {.items = NULL};
    const struct delivery_room room = {
        .total = total, .per_webhook = per_webhook, .lease_ms = lease_ms};

    assert_int_equal(store_delivery_claim(system_pool, &room, &claims, NULL), 0);
    return claims.count;
}

static void test_each_event_becomes_one_delivery(void **state)
{
    (void)state;
    (void)make_webhook("[\"test.*\"]");
    make_events(10);
    fan_out();
    fan_out();
    assert_int_equal(postgres_number("SELECT count(DISTINCT event_id) FROM webhook_deliveries"),
                     10);
    assert_int_equal(postgres_number("SELECT count(*) FROM webhook_deliveries"), 10);
}

static void execute(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);

    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail_msg("%s", PQresultErrorMessage(result));
    PQclear(result);
}

/* An event that got its place before another, and is committed after it. */
static void test_a_late_commit_is_not_passed_by(void **state)
{
    char url[POSTGRES_URL_SIZE];
    PGconn *late;

    (void)state;
    (void)make_webhook("[\"test.*\"]");
    late = PQconnectdb(postgres_url("postgres", url));
    execute(late, "BEGIN");
    execute(late, "INSERT INTO events (tenant_id, kind) VALUES"
                  " ('00000000-0000-7000-8000-000000000001', 'test.late')");
    make_events(1);
    fan_out();
    assert_int_equal(postgres_number("SELECT count(*) FROM webhook_deliveries"), 0);
    execute(late, "COMMIT");
    PQfinish(late);
    fan_out();
    assert_int_equal(postgres_number("SELECT count(*) FROM webhook_deliveries"), 2);
}

static void test_kinds_and_age_decide(void **state)
{
    (void)state;
    make_events(1);
    (void)make_webhook("[\"test.made\"]");
    (void)make_webhook("[\"test.other\", \"tes\"]");
    (void)make_webhook("[\"test\", \"t.*\"]");
    make_events(1);
    fan_out();
    assert_int_equal(postgres_number("SELECT count(*) FROM webhook_deliveries"), 1);
}

static void test_a_claim_is_a_lease(void **state)
{
    (void)state;
    (void)make_webhook("[\"test.*\"]");
    make_events(1);
    fan_out();
    assert_int_equal(claim(10, 4, 60000), 1);
    assert_int_equal(claim(10, 4, 60000), 0);
    postgres_execute("UPDATE webhook_deliveries SET next_attempt_at = now()");
    assert_int_equal(claim(10, 4, 60000), 1);
    assert_int_equal(postgres_number("SELECT attempts FROM webhook_deliveries"), 2);
}

static void test_one_webhook_does_not_take_all_places(void **state)
{
    struct delivery_busy busy = {.count = 3};
    struct delivery_room room = {
        .total = 5, .per_webhook = 4, .lease_ms = 60000, .busy = &busy, .busy_count = 1};
    _cleanup_(delivery_claims_free) struct delivery_claims claims = {.items = NULL};
    size_t of_first = 0;

    (void)state;
    busy.webhook = make_webhook("[\"test.*\"]");
    (void)make_webhook("[\"test.*\"]");
    make_events(20);
    fan_out();
    assert_int_equal(store_delivery_claim(system_pool, &room, &claims, NULL), 0);
    assert_int_equal(claims.count, 5);
    for (size_t i = 0; i < claims.count; i++)
        of_first += id_equal(&claims.items[i].webhook, &busy.webhook);
    assert_int_equal(of_first, 1);
    assert_int_equal(claim(100, 4, 60000), 8);
}

static void test_deliveries_of_a_suspended_tenant_wait(void **state)
{
    (void)state;
    (void)make_webhook("[\"test.*\"]");
    make_events(1);
    fan_out();
    postgres_execute("UPDATE tenants SET state = 'suspended'");
    make_events(1);
    fan_out();
    assert_int_equal(claim(10, 4, 60000), 0);
    assert_int_equal(postgres_number("SELECT count(*) FROM webhook_deliveries"
                                     " WHERE state = 'pending' AND attempts = 0"),
                     2);
    postgres_execute("UPDATE tenants SET state = 'active'");
    assert_int_equal(claim(10, 4, 60000), 2);
}

static void test_only_the_last_claim_can_finish(void **state)
{
    _cleanup_(delivery_claims_free) struct delivery_claims claims = {.items = NULL};
    const struct delivery_room room = {.total = 1, .per_webhook = 1, .lease_ms = 0};
    struct delivery_outcome outcome = {.attempts = 1, .last = true, .error = "late"};

    (void)state;
    (void)make_webhook("[\"test.*\"]");
    make_events(1);
    fan_out();
    assert_int_equal(claim(1, 1, 0), 1);
    assert_int_equal(store_delivery_claim(system_pool, &room, &claims, NULL), 0);
    outcome.id = claims.items[0].id;
    assert_int_equal(store_delivery_finish(system_pool, &outcome, NULL), 0);
    assert_int_equal(postgres_number("SELECT count(*) FROM webhook_deliveries"
                                     " WHERE state = 'pending'"),
                     1);
    outcome = (struct delivery_outcome){
        .id = claims.items[0].id, .attempts = 2, .delivered = true, .http_status = 200};
    assert_int_equal(store_delivery_finish(system_pool, &outcome, NULL), 0);
    assert_int_equal(postgres_number("SELECT last_status FROM webhook_deliveries"
                                     " WHERE state = 'delivered'"),
                     200);
}

static long count_in(const char *state)
{
    char sql[128];

    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM webhook_deliveries WHERE state = '%s'",
                   state);
    return postgres_number(sql);
}

/* As many wait as may wait, of each webhook; the others can be retried by hand. */
static void test_no_more_wait_than_may(void **state)
{
    (void)state;
    (void)make_webhook("[\"test.*\"]");
    make_events(7);
    fan_out_for(5);
    assert_int_equal(count_in("pending"), 5);
    assert_int_equal(count_in("dead"), 2);
    assert_int_equal(postgres_number("SELECT count(*) FROM webhook_deliveries WHERE state = 'dead'"
                                     " AND last_error = 'too many deliveries are waiting'"
                                     " AND ended_at IS NOT NULL AND event_id >"
                                     " (SELECT max(event_id) FROM webhook_deliveries"
                                     " WHERE state = 'pending')"),
                     2);
    postgres_execute("DELETE FROM webhook_deliveries WHERE event_id ="
                     " (SELECT min(event_id) FROM webhook_deliveries)");
    (void)make_webhook("[\"test.*\"]");
    make_events(4);
    fan_out_for(5);
    assert_int_equal(count_in("pending"), 9);
    assert_int_equal(count_in("dead"), 5);
}

static uint64_t give_up(void)
{
    uint64_t count;

    assert_int_equal(store_delivery_give_up(system_pool, 1000, 10, &count, NULL), 0);
    return count;
}

static void test_what_waits_too_long_is_given_up(void **state)
{
    const struct db_scope scope = {.tenant = default_tenant};
    _cleanup_(webhook_delivery_free) struct webhook_delivery again = {.owner = NULL};
    _cleanup_free_ char *text = NULL;
    struct id webhook = make_webhook("[\"test.*\"]");
    struct id delivery;

    (void)state;
    make_events(3);
    fan_out();
    assert_int_equal(claim(1, 1, 60000), 1);
    postgres_execute(
        "UPDATE webhook_deliveries SET pending_since = now() - interval '900 seconds'");
    assert_int_equal(give_up(), 0);
    postgres_execute(
        "UPDATE webhook_deliveries SET pending_since = now() - interval '1001 seconds'");
    assert_int_equal(give_up(), 2);
    assert_int_equal(count_in("pending"), 1);
    /* Sent anew, it has all of its time again. */
    text = postgres_value("SELECT id FROM webhook_deliveries WHERE state = 'dead' LIMIT 1");
    assert_true(id_parse(text, &delivery));
    assert_int_equal(
        store_webhook_retry(app, &scope, &webhook, &delivery, &test_origin, &again, NULL), 0);
    assert_int_equal(give_up(), 0);
    assert_int_equal(count_in("pending"), 2);
}

static void test_ended_deliveries_are_removed_with_age(void **state)
{
    uint64_t count;

    (void)state;
    (void)make_webhook("[\"test.*\"]");
    make_events(3);
    fan_out();
    postgres_execute("UPDATE webhook_deliveries SET state = 'dead',"
                     " ended_at = now() - interval '900 seconds'");
    postgres_execute("UPDATE webhook_deliveries SET ended_at = now() - interval '1001 seconds'"
                     " WHERE event_id = (SELECT min(event_id) FROM webhook_deliveries)");
    assert_int_equal(store_delivery_prune(system_pool, 1000, 10, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(postgres_number("SELECT count(*) FROM webhook_deliveries"), 2);
}

static void set_active(const struct id *webhook, bool active)
{
    const struct db_scope scope = {.tenant = default_tenant};
    const struct webhook_patch patch = {.set_active = true, .is_active = active};
    _cleanup_(webhook_record_free) struct webhook_record record = {.owner = NULL};

    assert_int_equal(
        store_webhook_patch(app, &scope, webhook, &patch, -1, &test_origin, &record, NULL), 0);
}

/* Nobody else has a webhook: nothing moves the cursor meanwhile. */
static void test_what_happens_during_a_pause_is_not_sent(void **state)
{
    struct id webhook = make_webhook("[\"test.*\"]");

    (void)state;
    make_events(1);
    fan_out();
    set_active(&webhook, false);
    make_events(2);
    fan_out();
    set_active(&webhook, true);
    set_active(&webhook, true);
    make_events(3);
    fan_out();
    assert_int_equal(count_in("pending"), 4);
}

/* A delete of the webhook, which has locked some of them and wants the rest. */
static void test_removal_waits_for_nobody(void **state)
{
    char url[POSTGRES_URL_SIZE];
    PGconn *other;
    uint64_t count;

    (void)state;
    (void)make_webhook("[\"test.*\"]");
    make_events(3);
    fan_out();
    postgres_execute("UPDATE webhook_deliveries SET state = 'dead',"
                     " ended_at = now() - interval '1001 seconds'");
    other = PQconnectdb(postgres_url("postgres", url));
    PQclear(PQexec(other, "BEGIN"));
    PQclear(PQexec(other, "SELECT FROM webhook_deliveries ORDER BY event_id LIMIT 1 FOR UPDATE"));
    assert_int_equal(PQtransactionStatus(other), PQTRANS_INTRANS);
    assert_int_equal(store_delivery_prune(system_pool, 1000, 10, &count, NULL), 0);
    assert_int_equal(count, 2);
    execute(other, "ROLLBACK"); /* answered when its locks are gone, unlike PQfinish() */
    PQfinish(other);
    assert_int_equal(store_delivery_prune(system_pool, 1000, 10, &count, NULL), 0);
    assert_int_equal(count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_event_becomes_one_delivery),
        TEST(test_a_late_commit_is_not_passed_by),
        TEST(test_kinds_and_age_decide),
        TEST(test_a_claim_is_a_lease),
        TEST(test_one_webhook_does_not_take_all_places),
        TEST(test_deliveries_of_a_suspended_tenant_wait),
        TEST(test_only_the_last_claim_can_finish),
        TEST(test_no_more_wait_than_may),
        TEST(test_what_waits_too_long_is_given_up),
        TEST(test_ended_deliveries_are_removed_with_age),
        TEST(test_removal_waits_for_nobody),
        TEST(test_what_happens_during_a_pause_is_not_sent),
    };

    return cmocka_run_group_tests_name("db/store_delivery", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
