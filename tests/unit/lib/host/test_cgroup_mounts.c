#include "lib/host/cgroup_mounts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void add_all(struct cgroup_mounts *mounts, const char *const *lines)
{
    memset(mounts, 0, sizeof(*mounts));
    for (; *lines; lines++)
        cgroup_mounts_add(mounts, *lines);
}

static void takes_v1_with_controllers_together(void **state)
{
    static const char *const lines[] = {
        "30 20 0:25 / /sys/fs/cgroup/memory rw,relatime shared:1 - cgroup cgroup rw,memory",
        "31 20 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
        "32 20 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids",
        "33 20 0:28 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer",
        "34 20 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset",
        "35 20 0:29 / /mnt/memory-again rw - cgroup cgroup rw,memory",
        "36 20 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate",
        NULL};
    struct cgroup_mounts mounts;

    (void)state;
    add_all(&mounts, lines);
    assert_int_equal(cgroup_mounts_version(&mounts), 1);
    assert_string_equal(mounts.v1[0].path, "/sys/fs/cgroup/memory");
    assert_int_equal(mounts.v1[0].controllers, CGROUP_MEMORY);
    assert_int_equal(mounts.v1[1].controllers, CGROUP_CPU | CGROUP_CPUACCT);
    assert_string_equal(mounts.v2, "/sys/fs/cgroup/unified");
    for (unsigned i = 0; i < mounts.v1_count; i++)
        assert_string_not_equal(mounts.v1[i].path, "/mnt/memory-again");
}

/* "cpuset" holds the letters of cpu, "cpuacct" too. */
static void knows_controllers_by_whole_words(void **state)
{
    static const char *const lines[] = {"31 20 0:26 / /a rw - cgroup cgroup rw,cpuacct",
                                        "32 20 0:27 / /b rw - cgroup cgroup rw,cpuset", NULL};
    struct cgroup_mounts mounts;

    (void)state;
    add_all(&mounts, lines);
    assert_int_equal(mounts.v1[0].controllers, CGROUP_CPUACCT);
    assert_int_equal(mounts.v1[1].controllers, 0);
    assert_int_equal(cgroup_mounts_version(&mounts), 0);
    assert_true(cgroup_words_hold("cpuset cpu io memory\n", "cpu"));
    assert_true(cgroup_words_hold("cpuset cpu io memory\n", "memory"));
    assert_false(cgroup_words_hold("cpuset io\n", "cpu"));
    assert_false(cgroup_words_hold("", "cpu"));
}

static void prefers_v2_that_suffices(void **state)
{
    struct cgroup_mounts mounts;

    (void)state;
    memset(&mounts, 0, sizeof(mounts));
    mounts.v2_controllers = CGROUP_MEMORY | CGROUP_CPU;
    assert_int_equal(cgroup_mounts_version(&mounts), 0);
    mounts.v2_controllers |= CGROUP_PIDS;
    assert_int_equal(cgroup_mounts_version(&mounts), 2);
}

static void lacks_v1_without_a_freezer(void **state)
{
    static const char *const lines[] = {"30 20 0:25 / /m rw - cgroup cgroup rw,memory",
                                        "31 20 0:26 / /c rw - cgroup cgroup rw,cpu",
                                        "32 20 0:27 / /p rw - cgroup cgroup rw,pids", NULL};
    struct cgroup_mounts mounts;

    (void)state;
    add_all(&mounts, lines);
    assert_int_equal(cgroup_mounts_version(&mounts), 0);
}

static void ignores_lines_of_another_form(void **state)
{
    static const char *const lines[] = {
        "",  " - ", "1 2 3 / /x rw", "1 2 3 / /x rw - cgroup", "22 1 8:1 / / rw - ext4 /dev/vda rw",
        NULL};
    struct cgroup_mounts mounts;

    (void)state;
    add_all(&mounts, lines);
    assert_int_equal(mounts.v1_count, 0);
    assert_string_equal(mounts.v2, "");
}

/* What a process may do with a read-only mount: tests/integration/test_doctor.py. */
static void writes_where_the_controllers_are(void **state)
{
    struct cgroup_mounts mounts = {.v2 = "/nonexistent",
                                   .v1 = {{"/tmp", CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS},
                                          {"/nonexistent", 0},
                                          {"/tmp", CGROUP_FREEZER}},
                                   .v1_count = 3};

    (void)state;
    assert_true(cgroup_mounts_writable(&mounts));
    memcpy(mounts.v1[2].path, "/none", sizeof("/none"));
    assert_false(cgroup_mounts_writable(&mounts));
    mounts.v2_controllers = CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS;
    assert_false(cgroup_mounts_writable(&mounts));
    memcpy(mounts.v2, "/tmp", sizeof("/tmp"));
    assert_true(cgroup_mounts_writable(&mounts));
    memset(&mounts, 0, sizeof(mounts));
    assert_false(cgroup_mounts_writable(&mounts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_v1_with_controllers_together),
        cmocka_unit_test(knows_controllers_by_whole_words),
        cmocka_unit_test(prefers_v2_that_suffices),
        cmocka_unit_test(lacks_v1_without_a_freezer),
        cmocka_unit_test(ignores_lines_of_another_form),
        cmocka_unit_test(writes_where_the_controllers_are),
    };

    return cmocka_run_group_tests_name("lib/host/cgroup_mounts", tests, NULL, NULL);
}
