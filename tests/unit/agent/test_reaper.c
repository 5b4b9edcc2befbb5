/* Children that have ended are reaped in pieces. */
#include "agent/reaper.h"
#include "agent/tree.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Makes so many children that have ended, and are not reaped. */
static void make_dead(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        pid_t pid = fork();
        siginfo_t info;

        if (pid == 0)
            _exit(0);
        assert_true(pid > 0);
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    }
}

static void test_a_crowd_of_dead_is_reaped_in_pieces(void **state)
{
    (void)state;
    make_dead(2 * REAPER_PIECE + 1);
    assert_true(reaper_run());
    assert_false(tree_empty());
    assert_true(reaper_run());
    assert_false(reaper_run());
    assert_true(tree_empty());
    assert_int_equal(wait(NULL), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_who_lives_is_not_waited_for(void **state)
{
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    assert_true(pid > 0);
    make_dead(1);
    assert_false(reaper_run());
    assert_false(tree_empty());
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crowd_of_dead_is_reaped_in_pieces),
        cmocka_unit_test(test_who_lives_is_not_waited_for),
    };

    return cmocka_run_group_tests_name("agent: reaper", tests, NULL, NULL);
}
