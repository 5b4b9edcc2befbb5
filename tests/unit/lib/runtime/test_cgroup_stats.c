#include "lib/runtime/cgroup_stats.h"

#include <atoll/cleanup.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME "0190a1b2c3d47e5f8a6b0123456789ab"

static char root[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof(root), "/tmp/atoll-cg-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[96];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf -- '%s'", root);
    return system(command);
}

/* Writes <root>/<path>, making its folders. */
static void put(const char *path, const char *text)
{
    char whole[512];
    FILE *file;

    (void)snprintf(whole, sizeof(whole), "%s/%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(whole, 0755);
        *slash = '/';
    }
    file = fopen(whole, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct cgroup_mounts mounts_v1(void)
{
    struct cgroup_mounts mounts = {.v1_count = 3};

    (void)snprintf(mounts.v1[0].path, CGROUP_PATH_SIZE, "%s/cpu,cpuacct", root);
    mounts.v1[0].controllers = CGROUP_CPU | CGROUP_CPUACCT;
    (void)snprintf(mounts.v1[1].path, CGROUP_PATH_SIZE, "%s/memory", root);
    mounts.v1[1].controllers = CGROUP_MEMORY;
    (void)snprintf(mounts.v1[2].path, CGROUP_PATH_SIZE, "%s/pids", root);
    mounts.v1[2].controllers = CGROUP_PIDS | CGROUP_FREEZER;
    return mounts;
}

static struct cgroup_mounts mounts_v2(void)
{
    struct cgroup_mounts mounts = {.v2_controllers = CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS};

    (void)snprintf(mounts.v2, sizeof(mounts.v2), "%s", root);
    return mounts;
}

static size_t read_all(const struct cgroup_mounts *mounts, struct cgroup_reading **ret_readings)
{
    struct error err;
    size_t count;

    if (cgroup_stats_read(mounts, ret_readings, &count, &err) < 0)
        fail_msg("%s", err.message);
    return count;
}

static void test_v1_puts_the_hierarchies_together(void **state)
{
    const struct cgroup_mounts mounts = mounts_v1();
    _cleanup_free_ struct cgroup_reading *readings = NULL;
    char text[ID_TEXT_SIZE];

    (void)state;
    put("cpu,cpuacct/atoll/" NAME ".3/cpuacct.usage", "1234567\n");
    put("memory/atoll/" NAME ".3/memory.usage_in_bytes", "4096\n");
    put("pids/atoll/" NAME ".3/pids.current", "2\n");
    assert_int_equal(read_all(&mounts, &readings), 1);
    id_format(&readings[0].id, text);
    assert_string_equal(text, NAME);
    assert_int_equal(readings[0].generation, 3);
    assert_int_equal(readings[0].cpu_usec, 1234);
    assert_int_equal(readings[0].memory_bytes, 4096);
    assert_int_equal(readings[0].pids, 2);
}

static void test_a_counter_that_is_not_there_is_unknown(void **state)
{
    const struct cgroup_mounts mounts = mounts_v1();
    _cleanup_free_ struct cgroup_reading *readings = NULL;

    (void)state;
    put("pids/atoll/" NAME ".1/pids.current", "1\n");
    put("memory/atoll/" NAME ".1/memory.usage_in_bytes", "none\n");
    assert_int_equal(read_all(&mounts, &readings), 1);
    assert_true(readings[0].cpu_usec == UINT64_MAX);
    assert_true(readings[0].memory_bytes == UINT64_MAX);
}

static void test_other_names_are_not_sandboxes(void **state)
{
    static const char *const names[] = {
        "supervisor",
        NAME,
        NAME ".",
        NAME ".0",
        NAME ".01",
        NAME ".x",
        NAME ".4294967296",
        "0190A1B2C3D47E5F8A6B0123456789AB.1",
        "0190a1b2-c3d4-7e5f-8a6b-0123456789ab.1",
    };
    const struct cgroup_mounts mounts = mounts_v1();
    _cleanup_free_ struct cgroup_reading *readings = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];

        (void)snprintf(path, sizeof(path), "pids/atoll/%s/pids.current", names[i]);
        put(path, "1\n");
    }
    assert_int_equal(read_all(&mounts, &readings), 0);
    assert_null(readings);
}

static void test_no_group_is_no_sandbox(void **state)
{
    const struct cgroup_mounts v1 = mounts_v1();
    const struct cgroup_mounts v2 = mounts_v2();
    _cleanup_free_ struct cgroup_reading *readings = NULL;

    (void)state;
    assert_int_equal(read_all(&v1, &readings), 0);
    assert_int_equal(read_all(&v2, &readings), 0);
}

/* Reads as a user who is nobody's; the group `path` has the mode. */
static void assert_refused(const struct cgroup_mounts *mounts, const char *path, mode_t mode)
{
    struct cgroup_reading *readings = NULL;
    struct error err = {0};
    char whole[512];
    size_t count;
    int status;

    (void)snprintf(whole, sizeof(whole), "%s/%s", root, path);
    assert_int_equal(chmod(root, 0755), 0);
    assert_int_equal(chmod(whole, mode), 0);
    assert_int_equal(seteuid(65534), 0);
    status = cgroup_stats_read(mounts, &readings, &count, &err);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(status, -1);
    if (!strstr(err.message, "atoll") || !strstr(err.message, "Permission denied"))
        fail_msg("%s", err.message);
}

/* Not the same as no sandbox: the operator has to hear of it. */
static void test_a_group_that_may_not_be_read_is_an_error(void **state)
{
    const struct cgroup_mounts v1 = mounts_v1();
    const struct cgroup_mounts v2 = mounts_v2();

    (void)state;
    if (geteuid() != 0)
        skip();
    put("pids/atoll/" NAME ".1/pids.current", "1\n");
    put("memory/atoll/" NAME ".1/memory.usage_in_bytes", "1\n");
    assert_refused(&v1, "memory/atoll", 0700);
    put("atoll/" NAME ".1/pids.current", "1\n");
    assert_refused(&v2, "atoll", 0700);
    assert_refused(&v2, "atoll", 0744);
}

static void test_v2_finds_the_root_and_delegated_groups(void **state)
{
    const struct cgroup_mounts mounts = mounts_v2();
    _cleanup_free_ struct cgroup_reading *readings = NULL;
    uint64_t cpu = 0;

    (void)state;
    put("atoll/" NAME ".1/cpu.stat", "usage_usec 77\nuser_usec 70\nsystem_usec 7\n");
    put("atoll/" NAME ".1/memory.current", "8192\n");
    put("atoll/" NAME ".1/pids.current", "5\n");
    put("system.slice/atoll-launcher.service/atoll/" NAME ".2/cpu.stat", "usage_usec 100\n");
    put("system.slice/atoll-launcher.service/atoll/" NAME ".2/pids.current", "1\n");
    put("system.slice/other.service/" NAME ".9/pids.current", "1\n");
    assert_int_equal(read_all(&mounts, &readings), 2);
    for (size_t i = 0; i < 2; i++) {
        cpu += readings[i].cpu_usec;
        if (readings[i].generation == 1) {
            assert_int_equal(readings[i].memory_bytes, 8192);
            assert_int_equal(readings[i].pids, 5);
        }
    }
    assert_int_equal(cpu, 177);
}

static void test_one_of_them(void **state)
{
    const struct cgroup_mounts v1 = mounts_v1();
    const struct cgroup_mounts v2 = mounts_v2();
    struct cgroup_reading reading = {.pids = 0};
    struct error err;
    struct id id;

    (void)state;
    assert_true(id_parse(NAME, &id));
    put("pids/atoll/" NAME ".1/pids.current", "3\n");
    put("pids/atoll/" NAME ".2/pids.current", "4\n");
    put("memory/atoll/" NAME ".2/memory.usage_in_bytes", "4096\n");
    put("machine/atoll/" NAME ".7/pids.current", "5\n");
    assert_int_equal(cgroup_stats_read_one(&v1, &id, 2, &reading, NULL), 0);
    assert_int_equal(reading.pids, 4);
    assert_int_equal(reading.memory_bytes, 4096);
    assert_int_equal(cgroup_stats_read_one(&v2, &id, 7, &reading, NULL), 0);
    assert_int_equal(reading.pids, 5);
    assert_int_equal(cgroup_stats_read_one(&v1, &id, 3, &reading, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void test_many(void **state)
{
    const struct cgroup_mounts mounts = mounts_v1();
    _cleanup_free_ struct cgroup_reading *readings = NULL;

    (void)state;
    for (unsigned i = 1; i <= 300; i++) {
        char path[128];

        (void)snprintf(path, sizeof(path), "pids/atoll/" NAME ".%u/pids.current", i);
        put(path, "1\n");
    }
    assert_int_equal(read_all(&mounts, &readings), 300);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_v1_puts_the_hierarchies_together),
        TEST(test_a_counter_that_is_not_there_is_unknown),
        TEST(test_other_names_are_not_sandboxes),
        TEST(test_no_group_is_no_sandbox),
        TEST(test_a_group_that_may_not_be_read_is_an_error),
        TEST(test_v2_finds_the_root_and_delegated_groups),
        TEST(test_one_of_them),
        TEST(test_many),
    };

    return cmocka_run_group_tests_name("runtime/cgroup_stats", tests, NULL, NULL);
}
