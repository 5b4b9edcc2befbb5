#include "lib/host/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void all_present(struct host_result results[static HOST_FEATURE_COUNT])
{
    host_probe(results);
    for (unsigned i = 0; i < HOST_FEATURE_COUNT; i++)
        results[i].present = true;
}

static void names_what_is_required_and_absent(void **state)
{
    struct host_result results[HOST_FEATURE_COUNT];
    uint64_t features = 7;
    struct error err;

    (void)state;
    all_present(results);
    results[HOST_OVERLAYFS].present = false;
    results[HOST_CGROUPS].present = false;
    assert_int_equal(host_judge(results, &features, &err), -1);
    assert_non_null(strstr(err.message, "overlayfs"));
    assert_non_null(strstr(err.message, "cgroup controllers"));
    assert_non_null(strstr(err.message, "modprobe overlay"));
    assert_null(strstr(err.message, "seccomp"));
    assert_int_equal(features, 7);
}

static void goes_without_what_is_optional(void **state)
{
    struct host_result results[HOST_FEATURE_COUNT];
    uint64_t features = 0;
    struct error err;

    (void)state;
    all_present(results);
    results[HOST_OVERLAY_FD].present = false;
    assert_int_equal(host_judge(results, &features, &err), 0);
    assert_false(features & 1ull << HOST_OVERLAY_FD);
    assert_true(features & 1ull << HOST_OVERLAYFS);
}

static void says_of_each_row_what_to_do(void **state)
{
    struct host_result results[HOST_FEATURE_COUNT];

    (void)state;
    host_probe(results);
    for (unsigned i = 0; i < HOST_FEATURE_COUNT; i++) {
        assert_true(strlen(results[i].name) > 0);
        assert_true(strlen(results[i].meaning) > 0);
        assert_true(strlen(results[i].fix) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_what_is_required_and_absent),
        cmocka_unit_test(goes_without_what_is_optional),
        cmocka_unit_test(says_of_each_row_what_to_do),
    };

    return cmocka_run_group_tests_name("lib/host", tests, NULL, NULL);
}
