/* A round of sampling from control groups of the test's own into a real PostgreSQL. */
#include "lib/host/cgroup_mounts.h"
#include "monitor/sampler.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <atoll/cleanup.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct cgroup_mounts mounts;
static char root[64];
static struct db_pool *app;
static struct db_pool *pool; /* atoll_system */

static int setup(void **state)
{
    app = NULL;
    pool = NULL;
    (void)snprintf(root, sizeof(root), "/tmp/atoll-cg-XXXXXX");
    if (!mkdtemp(root) || postgres_test_setup(state) < 0)
        return -1;
    mounts = (struct cgroup_mounts){.v2_controllers = CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS};
    (void)snprintf(mounts.v2, sizeof(mounts.v2), "%s", root);
    app = postgres_pool("atoll_app", 1);
    pool = postgres_pool("atoll_system", 1);
    return 0;
}

static int teardown(void **state)
{
    char command[96];

    (void)state;
    db_pool_free(app);
    db_pool_free(pool);
    (void)snprintf(command, sizeof(command), "rm -rf -- '%s'", root);
    return system(command);
}

/* The group of a sandbox with three counters. */
static void make_group(const struct id *id, unsigned generation)
{
    static const struct {
        const char *name;
        const char *text;
    } files[] = {
        {"cpu.stat", "usage_usec 1500\n"}, {"memory.current", "65536\n"}, {"pids.current", "2\n"}};
    char digits[ID_TEXT_SIZE];
    char folder[160];

    id_format(id, digits);
    (void)snprintf(folder, sizeof(folder), "%s/atoll", root);
    (void)mkdir(folder, 0755);
    (void)snprintf(folder, sizeof(folder), "%s/atoll/%s.%u", root, digits, generation);
    assert_int_equal(mkdir(folder, 0755), 0);
    for (size_t i = 0; i < 3; i++) {
        char path[256];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", folder, files[i].name);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(files[i].text, file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
}

static void test_live_sandboxes_are_sampled(void **state)
{
    struct id ids[] = {make_sandbox(app, &default_tenant), make_sandbox(app, &default_tenant)};
    struct id foreign;
    struct sampler_round round;

    (void)state;
    assert_int_equal(id_new(&foreign, NULL), 0);
    make_group(&ids[0], 4);
    make_group(&ids[1], 1);
    make_group(&foreign, 1);
    assert_int_equal(sampler_run(pool, &mounts, &round, NULL), 0);
    assert_int_equal(round.live, 3);
    assert_int_equal(round.written, 2);
    assert_int_equal(number_of("SELECT count(*) FROM samples WHERE sandbox_id = '%s' AND generation"
                               " = 4 AND cpu_usec = 1500 AND memory_bytes = 65536 AND pids = 2",
                               &ids[0]),
                     1);
    assert_int_equal(sampler_run(pool, &mounts, &round, NULL), 0);
    assert_int_equal(postgres_number("SELECT count(DISTINCT at) FROM samples"), 2);
}

static void test_without_sandboxes_the_database_is_not_needed(void **state)
{
    _cleanup_db_pool_ struct db_pool *away = NULL;
    struct sampler_round round;
    struct error err;
    struct id id;

    (void)state;
    assert_int_equal(db_pool_create("host=/nonexistent", 1, "test", &away, NULL), 0);
    assert_int_equal(sampler_run(away, &mounts, &round, &err), 0);
    assert_int_equal(round.live, 0);
    assert_int_equal(id_new(&id, NULL), 0);
    make_group(&id, 1);
    assert_int_equal(sampler_run(away, &mounts, &round, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_live_sandboxes_are_sampled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_sandboxes_the_database_is_not_needed, setup,
                                        teardown),
    };

    return cmocka_run_group_tests_name("monitor/sampler", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
