/* The frame of the daemons: signals, reload, the wait for the database. */
#include "lib/runtime/daemon.h"

#include "lib/base/util.h"
#include "tests/unit/support/postgres.h"

#include <atoll/log.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const struct program program = {.name = "atoll-test", .purpose = "Is tested"};
static char config_file[64];
static char url_option[POSTGRES_URL_SIZE + 32];
static unsigned bodies; /* calls of a body */

static void write_config(const char *text)
{
    FILE *file = fopen(config_file, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void mask_signals(int how)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGPIPE);
    (void)sigprocmask(how, &set, NULL);
}

static int setup(void **state)
{
    char url[POSTGRES_URL_SIZE];
    int fd;

    bodies = 0;
    strcpy(config_file, "/tmp/atoll-daemon-XXXXXX");
    fd = mkostemp(config_file, O_CLOEXEC);
    if (fd < 0 || close(fd) < 0 || postgres_test_setup(state) < 0)
        return -1;
    (void)snprintf(url_option, sizeof(url_option), "database.system_url=%s",
                   postgres_url("atoll_system", url));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN); /* forgets a pending one */
    mask_signals(SIG_UNBLOCK);
    (void)signal(SIGPIPE, SIG_DFL);
    log_init("test", LOG_INFO, false);
    return unlink(config_file);
}

static int start(daemon_body body)
{
    char *argv[] = {"test", "--config", config_file, "--set", url_option, NULL};

    return daemon_main(&program, body, 5, argv);
}

static int see_signals(struct daemon *daemon, struct error *err)
{
    (void)err;
    bodies++;
    assert_int_equal(daemon_wait(daemon->signals, 0), DAEMON_DEADLINE);
    assert_int_equal(raise(SIGHUP), 0);
    assert_int_equal(daemon_wait(daemon->signals, DAEMON_NEVER), DAEMON_RELOAD);
    assert_int_equal(raise(SIGPIPE), 0);
    assert_int_equal(raise(SIGINT), 0);
    assert_int_equal(daemon_wait(daemon->signals, 0), DAEMON_STOP);
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(daemon_wait(daemon->signals, DAEMON_NEVER), DAEMON_STOP);
    assert_int_equal(db_ping(daemon->pool, err), 0);
    return 0;
}

static void test_signals_wake_the_body(void **state)
{
    (void)state;
    assert_int_equal(start(see_signals), EXIT_SUCCESS);
    assert_int_equal(bodies, 1);
}

static int see_reloads(struct daemon *daemon, struct error *err)
{
    (void)err;
    bodies++;
    assert_int_equal(daemon->config.monitor_interval_ms, 200);
    write_config("[monitor]\ninterval_ms = 300\n[server]\nport = 2\nhost = \"127.0.0.2\"\n");
    daemon_reload(daemon);
    assert_int_equal(daemon->config.monitor_interval_ms, 300);
    assert_int_equal(daemon->config.server_port, 1);
    assert_string_equal(daemon->config.server_host, "127.0.0.1");
    write_config("[monitor]\ninterval_ms = \"often\"\n");
    daemon_reload(daemon);
    assert_int_equal(daemon->config.monitor_interval_ms, 300);
    return 0;
}

static void test_reload_takes_what_may_change(void **state)
{
    (void)state;
    write_config("[monitor]\ninterval_ms = 200\n[server]\nport = 1\n");
    assert_int_equal(start(see_reloads), EXIT_SUCCESS);
    assert_int_equal(bodies, 1);
}

/* How many bytes of standard error a debug line takes. */
static off_t debug_line_size(void)
{
    int saved = dup(STDERR_FILENO);
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    struct stat status;

    assert_true(saved >= 0 && fd >= 0);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    log_debug("a line");
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(close(fd) + close(saved), 0);
    return status.st_size;
}

static int see_log_level(struct daemon *daemon, struct error *err)
{
    (void)err;
    bodies++;
    assert_int_equal(debug_line_size(), 0);
    write_config("[logging]\nlevel = \"debug\"\n");
    daemon_reload(daemon);
    assert_true(debug_line_size() > 0);
    return 0;
}

static void test_reload_changes_the_log_level(void **state)
{
    (void)state;
    assert_int_equal(start(see_log_level), EXIT_SUCCESS);
    assert_int_equal(bodies, 1);
}

static int fail_on_purpose(struct daemon *daemon, struct error *err)
{
    (void)daemon;
    bodies++;
    return error_set(err, ERR_INTERNAL, "on purpose");
}

static void test_a_failing_body_ends_the_daemon(void **state)
{
    (void)state;
    assert_int_equal(start(fail_on_purpose), EXIT_FAILURE);
    assert_int_equal(bodies, 1);
}

static void test_a_wrong_start_runs_nothing(void **state)
{
    char *unknown[] = {"test", "extra", NULL};

    (void)state;
    assert_int_equal(daemon_main(&program, fail_on_purpose, 2, unknown), PROGRAM_MISUSED);
    write_config("[server]\nport = \"many\"\n");
    assert_int_equal(start(fail_on_purpose), PROGRAM_MISUSED);
    assert_int_equal(bodies, 0);
}

static void test_a_signal_ends_the_wait_for_the_database(void **state)
{
    (void)state;
    strcpy(url_option, "database.system_url=host=/nonexistent");
    mask_signals(SIG_BLOCK);
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(start(fail_on_purpose), EXIT_SUCCESS);
    assert_int_equal(bodies, 0);
}

static void test_a_schema_of_another_version_ends_the_daemon(void **state)
{
    (void)state;
    postgres_execute("INSERT INTO schema_migrations (version, name, sha256)"
                     " SELECT max(version) + 1, 'later', repeat('0', 64)"
                     " FROM schema_migrations");
    assert_int_equal(start(fail_on_purpose), EXIT_FAILURE);
    assert_int_equal(bodies, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_signals_wake_the_body),
        TEST(test_reload_takes_what_may_change),
        TEST(test_reload_changes_the_log_level),
        TEST(test_a_failing_body_ends_the_daemon),
        TEST(test_a_wrong_start_runs_nothing),
        TEST(test_a_signal_ends_the_wait_for_the_database),
        TEST(test_a_schema_of_another_version_ends_the_daemon),
    };

    return cmocka_run_group_tests_name("runtime/daemon", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
