#include "cli/supervisor.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Services are shell scripts that write to a pipe when they live. */
struct fixture {
    int pipe[2];
    struct supervisor *supervisor;
};

static char *const environment[] = {NULL};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct error err;

    if (!fixture || pipe2(fixture->pipe, O_CLOEXEC) < 0 ||
        supervisor_new(&fixture->supervisor, &err) < 0)
        return -1;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    supervisor_free(fixture->supervisor);
    (void)close(fixture->pipe[0]);
    (void)close(fixture->pipe[1]);
    free(fixture);
    return 0;
}

static struct service shell(const struct fixture *fixture, const char *const *argv)
{
    return (struct service){
        .name = "sh",
        .path = "/bin/sh",
        .argv = argv,
        .environment = environment,
        .input = -1,
        .output = fixture->pipe[1],
        .stop_signal = SIGTERM,
        .kill_signal = SIGKILL,
    };
}

/* Waits for the next line that a service wrote. */
static void expect_line(struct fixture *fixture, const char *expected)
{
    enum supervisor_event event;
    char text[64];
    struct error err = {0};
    ssize_t size;

    if (supervisor_wait(fixture->supervisor, fixture->pipe[0], 0, false, &event, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(event, SUPERVISOR_FD);
    size = read(fixture->pipe[0], text, sizeof(text) - 1);
    assert_true(size > 0);
    text[size] = '\0';
    assert_string_equal(text, expected);
}

static void test_job_succeeds_and_fails(void **state)
{
    static const char *const good[] = {"sh", "-c", "exit 0", NULL};
    static const char *const bad[] = {"sh", "-c", "exit 3", NULL};
    struct fixture *fixture = *state;
    struct service job = shell(fixture, good);
    struct error err;

    assert_int_equal(supervisor_run_job(fixture->supervisor, &job, &err), 0);
    job = shell(fixture, bad);
    assert_int_equal(supervisor_run_job(fixture->supervisor, &job, &err), -1);
    assert_string_equal(err.message, "sh failed (exit code 3)");
}

static void test_missing_binary_is_an_error(void **state)
{
    static const char *const argv[] = {"x", NULL};
    struct fixture *fixture = *state;
    struct service service = shell(fixture, argv);
    struct error err;

    service.path = "/nonexistent";
    assert_int_equal(supervisor_start(fixture->supervisor, &service, &err), -1);
    assert_non_null(strstr(err.message, "/nonexistent"));
}

/* Nothing but its three streams reaches a child, and no signal is blocked in it. */
static void test_child_is_clean(void **state)
{
    static const char *const argv[] = {"sh", "-c",
                                       "[ ! -e /proc/$$/fd/100 ] || echo leaked; "
                                       "echo $(pwd) $(grep SigBlk /proc/$$/status); exec sleep 60",
                                       NULL};
    struct fixture *fixture = *state;
    struct service service = shell(fixture, argv);
    struct error err;

    assert_int_equal(dup2(STDERR_FILENO, 100), 100); /* without close-on-exec */
    assert_int_equal(supervisor_start(fixture->supervisor, &service, &err), 0);
    expect_line(fixture, "/ SigBlk: 0000000000000000\n");
    (void)close(100);
}

static void test_strict_reports_a_death(void **state)
{
    static const char *const argv[] = {"sh", "-c", "kill -KILL $$", NULL};
    struct fixture *fixture = *state;
    struct service service = shell(fixture, argv);
    enum supervisor_event event;
    struct error err;

    assert_int_equal(supervisor_start(fixture->supervisor, &service, &err), 0);
    assert_int_equal(supervisor_wait(fixture->supervisor, -1, 0, true, &event, &err), -1);
    assert_string_equal(err.message, "sh ended while starting (signal 9 (Killed))");
    service.log = "/var/log/x";
    assert_int_equal(supervisor_start(fixture->supervisor, &service, &err), 0);
    assert_int_equal(supervisor_wait(fixture->supervisor, -1, 0, true, &event, &err), -1);
    assert_string_equal(err.message, "sh ended while starting (signal 9 (Killed)): see /var/log/x");
}

static void test_restarts_after_a_death(void **state)
{
    static const char *const argv[] = {"sh", "-c", "echo up; read x; exit 0", NULL};
    struct fixture *fixture = *state;
    struct service service = shell(fixture, argv);
    struct error err;

    assert_int_equal(supervisor_start(fixture->supervisor, &service, &err), 0);
    expect_line(fixture, "up\n");
    expect_line(fixture, "up\n");
}

static void test_signal_asks_for_the_end(void **state)
{
    static const char *const argv[] = {"sleep", "60", NULL};
    struct fixture *fixture = *state;
    struct service service = shell(fixture, argv);
    enum supervisor_event event;
    struct error err;

    service.path = "/bin/sleep";
    assert_int_equal(supervisor_start(fixture->supervisor, &service, &err), 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(supervisor_wait(fixture->supervisor, -1, 0, false, &event, &err), 0);
    assert_int_equal(event, SUPERVISOR_STOP);
    assert_int_equal(supervisor_run_job(fixture->supervisor, &service, &err), -1);
    assert_non_null(strstr(err.message, "interrupted"));
}

/* The youngest ends first: each writes its name when it is asked to. */
static void test_stops_in_reverse_order(void **state)
{
    static const char *const scripts[2][4] = {
        {"sh", "-c", "trap 'printf one; exit' TERM; echo; while :; do sleep 0.05; done", NULL},
        {"sh", "-c", "trap 'printf two; exit' TERM; echo; while :; do sleep 0.05; done", NULL},
    };
    struct fixture *fixture = *state;
    struct error err;
    char text[64];

    for (size_t i = 0; i < 2; i++) {
        struct service service = shell(fixture, scripts[i]);

        assert_int_equal(supervisor_start(fixture->supervisor, &service, &err), 0);
        expect_line(fixture, "\n");
    }
    supervisor_stop(fixture->supervisor, 0);
    assert_int_equal(read(fixture->pipe[0], text, sizeof(text)), 6);
    assert_memory_equal(text, "twoone", 6);
}

int main(void)
{
#define SUPERVISOR_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SUPERVISOR_TEST(test_job_succeeds_and_fails),
        SUPERVISOR_TEST(test_missing_binary_is_an_error),
        SUPERVISOR_TEST(test_child_is_clean),
        SUPERVISOR_TEST(test_strict_reports_a_death),
        SUPERVISOR_TEST(test_restarts_after_a_death),
        SUPERVISOR_TEST(test_signal_asks_for_the_end),
        SUPERVISOR_TEST(test_stops_in_reverse_order),
    };

    return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
