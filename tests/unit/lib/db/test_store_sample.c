#include "lib/db/store_sample.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct db_pool *app;
static struct db_pool *pool; /* atoll_system */

static int setup(void **state)
{
    return postgres_pools_setup(state, &app, &pool);
}

static int teardown(void **state)
{
    (void)state;
    return postgres_pools_teardown(&app, &pool);
}

static uint64_t write_samples(const struct store_sample *samples, size_t count)
{
    struct error err;
    uint64_t written;

    if (store_samples_write(pool, samples, count, &written, &err) < 0)
        fail_msg("%s", err.message);
    return written;
}

static void test_samples_find_their_tenants(void **state)
{
    struct id other = make_tenant("other");
    struct id ids[] = {make_sandbox(app, &default_tenant), make_sandbox(app, &other)};
    const struct store_sample samples[] = {
        {.id = ids[0], .generation = 1, .cpu_usec = 10, .memory_bytes = 20, .pids = 3},
        {.id = ids[1],
         .generation = UINT32_MAX >> 1,
         .cpu_usec = UINT64_MAX,
         .memory_bytes = INT64_MAX,
         .pids = 0},
        {.id = {{9}}, .generation = 1},
    };

    (void)state;
    assert_int_equal(write_samples(samples, 3), 2);
    assert_int_equal(number_of("SELECT count(*) FROM samples WHERE sandbox_id = '%s' AND generation"
                               " = 1 AND cpu_usec = 10 AND memory_bytes = 20 AND pids = 3 AND"
                               " tenant_id = '00000000-0000-7000-8000-000000000001'",
                               &ids[0]),
                     1);
    assert_int_equal(number_of("SELECT count(*) FROM samples WHERE tenant_id = '%s' AND cpu_usec IS"
                               " NULL AND memory_bytes = 9223372036854775807 AND pids = 0",
                               &other),
                     1);
    /* The batch is empty again for the next round on the same connection. */
    assert_int_equal(write_samples(samples, 1), 1);
    assert_int_equal(postgres_number("SELECT count(*) FROM samples"), 3);
}

static void test_many_samples_in_one_batch(void **state)
{
    enum { COUNT = 20000 };
    struct store_sample *samples = calloc(COUNT, sizeof(*samples));
    struct id id = make_sandbox(app, &default_tenant);

    (void)state;
    assert_non_null(samples);
    for (uint32_t i = 0; i < COUNT; i++)
        samples[i] = (struct store_sample){.id = id, .generation = i + 1, .cpu_usec = i};
    assert_int_equal(write_samples(samples, COUNT), COUNT);
    free(samples);
}

static void test_a_failed_batch_leaves_nothing(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    /* No integer of PostgreSQL: COPY refuses the second line. */
    const struct store_sample samples[] = {{.id = id, .generation = 1},
                                           {.id = id, .generation = UINT32_MAX}};
    struct error err;
    uint64_t written;

    (void)state;
    assert_int_equal(store_samples_write(pool, samples, 2, &written, &err), -1);
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_int_equal(postgres_number("SELECT count(*) FROM samples"), 0);
    assert_int_equal(write_samples(samples, 1), 1);
}

static void test_a_missing_partition_is_made(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    const struct store_sample sample = {.id = id, .generation = 1};

    (void)state;
    postgres_execute("DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT inhrelid::regclass FROM"
                     " pg_inherits WHERE inhparent = 'samples'::regclass LOOP EXECUTE"
                     " format('DROP TABLE %s', t); END LOOP; END $$");
    assert_int_equal(write_samples(&sample, 1), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_samples_find_their_tenants),
        TEST(test_many_samples_in_one_batch),
        TEST(test_a_failed_batch_leaves_nothing),
        TEST(test_a_missing_partition_is_made),
    };

    return cmocka_run_group_tests_name("db/store_sample", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
