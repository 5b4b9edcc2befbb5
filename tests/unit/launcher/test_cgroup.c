/* Against the host's own hierarchies; skipped where they may not be written. */
#include "launcher/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct cgroup_limits limits = {
    .memory_bytes = 64 << 20, .cpu_milli = 500, .pids_max = 16};

static struct cgroup_host host;
static char name[64]; /* of a sandbox that nobody else has */
static unsigned found;

static int open_host(void **state)
{
    struct error err;

    (void)state;
    (void)snprintf(name, sizeof(name), "%032x.1", (unsigned)getpid());
    if (geteuid() != 0 || cgroup_open("/the/unit/test's/mark", &host, &err) < 0)
        host.count = 0;
    return 0;
}

static int close_host(void **state)
{
    (void)state;
    for (unsigned i = 0; i < host.count; i++) {
        (void)unlinkat(host.bases[i], name, AT_REMOVEDIR);
        close(host.bases[i]);
    }
    return 0;
}

static void need_host(void)
{
    if (host.count == 0)
        skip();
}

static bool has(unsigned index, const char *group)
{
    return faccessat(host.bases[index], group, F_OK, 0) == 0;
}

static bool there(unsigned index)
{
    return has(index, name);
}

static void count_visit(const char *group, void *context)
{
    (void)context;
    found += strcmp(group, name) == 0;
}

static void makes_marks_and_removes(void **state)
{
    struct cgroup_join join;
    struct error err;

    (void)state;
    need_host();
    assert_int_equal(cgroup_create(&host, name, &limits, &join), 0);
    assert_int_equal(join.tasks_count, host.v2 ? 0 : host.count);
    cgroup_join_close(&join);
    found = 0;
    assert_int_equal(cgroup_scan(&host, count_visit, NULL, &err), 0);
    assert_int_equal(found, 1);
    assert_int_equal(cgroup_remove(&host, name), 0);
    for (unsigned i = 0; i < host.count; i++)
        assert_false(there(i));
    assert_int_equal(cgroup_remove(&host, name), 0); /* absent ones are no failure */
}

/* A group made half-way by another must stay, and nothing of ours beside it. */
static void leaves_nothing_beside_a_group_that_was_there(void **state)
{
    (void)state;
    need_host();
    for (unsigned taken = 0; taken < host.count; taken++) {
        struct cgroup_join join;

        assert_int_equal(mkdirat(host.bases[taken], name, 0755), 0);
        assert_int_equal(cgroup_create(&host, name, &limits, &join), -1);
        assert_int_equal(errno, EEXIST);
        for (unsigned i = 0; i < host.count; i++)
            assert_int_equal(there(i), i == taken);
        assert_int_equal(unlinkat(host.bases[taken], name, AT_REMOVEDIR), 0);
    }
}

/* While a group is left, the marked one is: else no scan would find the rest. */
static void keeps_the_marked_group_while_another_is_left(void **state)
{
    const char *inner = "inner";
    struct cgroup_join join;
    int last;

    (void)state;
    need_host();
    if (host.count == 1)
        skip();
    assert_int_equal(cgroup_create(&host, name, &limits, &join), 0);
    cgroup_join_close(&join);
    last = openat(host.bases[host.count - 1], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(last >= 0);
    assert_int_equal(mkdirat(last, inner, 0755), 0);
    assert_int_equal(cgroup_remove(&host, name), -1);
    assert_int_equal(errno, EBUSY);
    assert_true(there(0));
    assert_int_equal(unlinkat(last, inner, AT_REMOVEDIR), 0);
    close(last);
    assert_int_equal(cgroup_remove(&host, name), 0);
    assert_false(there(0));
}

static void renames_in_every_hierarchy_or_in_none(void **state)
{
    char other[sizeof(name)];
    struct cgroup_join join;

    (void)state;
    need_host();
    if (host.v2)
        skip();
    (void)snprintf(other, sizeof(other), "%032x.2", (unsigned)getpid());
    assert_int_equal(cgroup_create(&host, name, &limits, &join), 0);
    cgroup_join_close(&join);
    for (unsigned taken = 0; taken < host.count; taken++) {
        assert_int_equal(mkdirat(host.bases[taken], other, 0755), 0);
        assert_int_equal(cgroup_rename(&host, name, other), -1);
        assert_int_equal(errno, EEXIST);
        for (unsigned i = 0; i < host.count; i++) {
            assert_true(has(i, name));
            assert_int_equal(has(i, other), i == taken);
        }
        assert_int_equal(unlinkat(host.bases[taken], other, AT_REMOVEDIR), 0);
    }
    assert_int_equal(cgroup_rename(&host, name, other), 0);
    for (unsigned i = 0; i < host.count; i++)
        assert_true(has(i, other) && !has(i, name));
    assert_int_equal(cgroup_remove(&host, other), 0);
}

static void opens_a_base_that_was_closed_to_readers(void **state)
{
    struct cgroup_host again;
    struct stat status;
    struct error err;

    (void)state;
    need_host();
    assert_int_equal(fchmod(host.bases[0], 0750), 0);
    assert_int_equal(cgroup_open("/the/unit/test's/mark", &again, &err), 0);
    assert_int_equal(fstat(again.bases[0], &status), 0);
    assert_int_equal(status.st_mode & 0777, 0755);
    for (unsigned i = 0; i < again.count; i++)
        close(again.bases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_marks_and_removes),
        cmocka_unit_test(leaves_nothing_beside_a_group_that_was_there),
        cmocka_unit_test(keeps_the_marked_group_while_another_is_left),
        cmocka_unit_test(renames_in_every_hierarchy_or_in_none),
        cmocka_unit_test(opens_a_base_that_was_closed_to_readers),
    };

    return cmocka_run_group_tests_name("launcher/cgroup", tests, open_host, close_host);
}
