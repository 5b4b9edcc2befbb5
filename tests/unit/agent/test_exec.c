/* Commands through the real agent. */
#include "tests/unit/agent/run_fixture.h"
#include "tests/unit/support/agent_calls.h"

#include <atoll/cleanup.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#define NOBODY "65534:65534"

static void test_output_and_exit_code(void **state)
{
    struct run run = run_begin(state);

    run_shell(&run, "echo out; echo err >&2; exit 7");
    assert_string_equal(run.result.out, "out\n");
    assert_string_equal(run.result.err, "err\n");
    assert_int_equal(run.result.exit_code, 7);
    assert_int_equal(run.result.signal, 0);
    assert_false(run.result.timed_out);
    assert_false(run.result.out_truncated);
    assert_true(run.result.wall_usec > 0);
    assert_true(run.result.max_rss_bytes > 0);
    run_shell(&run, "true");
    assert_int_equal(run.result.exit_code, 0);
    assert_int_equal(run.result.out_size, 0);
    run_end(&run);
}

static void test_signal_is_reported(void **state)
{
    struct run run = run_begin(state);

    run_shell(&run, "kill -SEGV $$");
    assert_int_equal(run.result.exit_code, -1);
    assert_int_equal(run.result.signal, SIGSEGV);
    run_end(&run);
}

static void test_arguments_stay_arguments(void **state)
{
    const char *const argv[] = {"printf", "%s|", "$(id)", "a b", "`x`", "'\"", "", NULL};
    struct run run = run_begin(state);

    assert_int_equal(run_execute(&run, argv), 0);
    assert_string_equal(run.result.out, "$(id)|a b|`x`|'\"||");
    run_end(&run);
}

static void test_environment(void **state)
{
    static const char *const own[] = {"A=1", "HOME=/x", NULL};
    static const char *const none[] = {NULL};
    struct run run = run_begin(state);

    run.request.env = own;
    run_shell(&run, "exec env");
    assert_non_null(strstr(run.result.out, "A=1\n"));
    assert_non_null(strstr(run.result.out, "HOME=/x\n"));
    assert_non_null(strstr(run.result.out, "PATH=/usr/local/sbin:"));
    assert_null(strstr(run.result.out, "USER="));
    run.request.env = none;
    run.request.user = "root";
    run_shell(&run, "exec env");
    assert_non_null(strstr(run.result.out, "HOME=/root\n"));
    assert_non_null(strstr(run.result.out, "USER=root\n"));
    run_end(&run);
}

static void test_identity(void **state)
{
    struct run run = run_begin(state);

    run.request.cwd = "/usr";
    run_shell(&run, "id -u; id -g; id -G; pwd; umask; ulimit -c; ls /proc/self/fd | wc -l");
    assert_string_equal(run.result.out, "65534\n65534\n65534\n/usr\n0022\n0\n4\n");
    run_shell(&run, "grep -E '^(Cap|NoNewPrivs|SigBlk|SigIgn)' /proc/self/status");
    assert_string_equal(run.result.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
                                        "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
                                        "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"
                                        "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n");
    run_end(&run);
}

static void test_root_has_no_capabilities(void **state)
{
    struct run run = run_begin(state);

    run.request.user = "0:0";
    run_shell(&run, "id -u; grep ^CapEff /proc/self/status; exec cat /proc/self/oom_score_adj");
    assert_string_equal(run.result.out, "0\nCapEff:\t0000000000000000\n500\n");
    run_end(&run);
}

static void test_priority_of_the_agent_stays_with_it(void **state)
{
    id_t agent = (id_t)agent_group(state)->agent;
    struct run run;

    if (setpriority(PRIO_PROCESS, agent, -20) < 0)
        skip(); /* some hosts' root may not */
    run = run_begin(state);
    run_shell(&run, "nice; renice -n -1 $$");
    assert_string_equal(run.result.out, "0\n");
    assert_int_not_equal(run.result.exit_code, 0);
    run_end(&run);
    assert_int_equal(setpriority(PRIO_PROCESS, agent, 0), 0);
}

static void test_agent_is_closed_to_commands(void **state)
{
    struct run run = run_begin(state);

    run.request.user = "0:0";
    run_shell(&run, "p=$(ps -o ppid= -p $$ | tr -d ' '); cd /proc/$p; "
                    "for f in mem environ exe maps fd/*; do "
                    "dd if=$f of=/dev/null bs=1 count=1 2>/dev/null && echo open $f; done; "
                    "readlink fd/* exe root; ls root/");
    assert_string_equal(run.result.out, "");
    run_end(&run);
}

static void test_failures_name_their_stage(void **state)
{
    const char *const missing[] = {"no-such-program", NULL};
    const char *const folder[] = {"/usr", NULL};
    struct run run = run_begin(state);

    assert_int_equal(run_execute(&run, missing), -1);
    assert_int_equal(run.err.code, ERR_NOT_POSSIBLE);
    assert_string_equal(run.err.message, "the command cannot be executed: No such file or "
                                         "directory");
    assert_int_equal(run_execute(&run, folder), -1);
    assert_string_equal(run.err.message, "the command cannot be executed: Permission denied");
    run.request.cwd = "/no/such/folder";
    assert_int_equal(run_execute(&run, missing), -1);
    assert_string_equal(run.err.message, "the working directory cannot be entered: No such file "
                                         "or directory");
    run.request.cwd = "/";
    run.request.user = "no-such-user";
    assert_int_equal(run_execute(&run, missing), -1);
    assert_string_equal(run.err.message, "the user cannot be found in the sandbox: it has none "
                                         "of this name");
    run.request.user = NOBODY;
    run_shell(&run, "echo still here");
    assert_string_equal(run.result.out, "still here\n");
    run_end(&run);
}

static void test_ids_out_of_range(void **state)
{
    static const char *const users[] = {"-1:0",         "0:-1",         "4294967295:0",
                                        "4294967296:0", "2147483648:1", ":",
                                        "1:",           "1:2:3",        "0x1:0"};
    const char *const argv[] = {"true", NULL};
    struct run run = run_begin(state);

    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        run.request.user = users[i];
        assert_int_equal(run_execute(&run, argv), -1);
        assert_non_null(strstr(run.err.message, "uid:gid"));
    }
    run_end(&run);
}

static void test_output_limit(void **state)
{
    struct run run = run_begin(state);

    run.request.max_output = 1000;
    run_shell(&run, "head -c 300000 /dev/zero; printf 1234 >&2");
    assert_int_equal(run.result.out_size, 1000);
    assert_true(run.result.out_truncated);
    assert_string_equal(run.result.err, "1234");
    assert_false(run.result.err_truncated);
    assert_int_equal(run.result.exit_code, 0);
    run_shell(&run, "head -c 1000 /dev/zero");
    assert_int_equal(run.result.out_size, 1000);
    assert_false(run.result.out_truncated);
    run_end(&run);
}

static void test_long_line_and_bytes(void **state)
{
    struct run run = run_begin(state);

    run.request.max_output = 2 << 20;
    run_shell(&run, "head -c 1048576 /dev/zero | tr '\\0' x");
    assert_int_equal(run.result.out_size, 1 << 20);
    assert_null(memchr(run.result.out, '\0', run.result.out_size));
    run_shell(&run, "printf '\\000\\377\\n\\000'");
    assert_int_equal(run.result.out_size, 4);
    assert_memory_equal(run.result.out, "\0\377\n\0", 4);
    run_end(&run);
}

static void test_large_stdin(void **state)
{
    const size_t size = 10 << 20;
    _cleanup_free_ char *data = malloc(size);
    struct run run = run_begin(state);

    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 7 + i / 251);
    run.request.stdin_data = data;
    run.request.stdin_size = size;
    run.request.max_output = size;
    run_shell(&run, "exec cat");
    assert_int_equal(run.result.out_size, size);
    assert_memory_equal(run.result.out, data, size);
    run_end(&run);
}

static void test_stdin_that_nobody_reads(void **state)
{
    const size_t size = 10 << 20;
    _cleanup_free_ char *data = calloc(1, size);
    struct run run = run_begin(state);

    run_shell(&run, "exec cat");
    assert_int_equal(run.result.out_size, 0);
    run.request.stdin_data = "";
    run_shell(&run, "exec cat");
    assert_int_equal(run.result.out_size, 0);
    run.request.stdin_data = data;
    run.request.stdin_size = size;
    run_shell(&run, "exec <&-; echo done");
    assert_string_equal(run.result.out, "done\n");
    run_end(&run);
}

static void test_large_request(void **state)
{
    const char *argv[900];
    _cleanup_free_ char *argument = malloc(1001);
    struct run run = run_begin(state);

    memset(argument, 'a', 1000);
    argument[1000] = '\0';
    argv[0] = "printf";
    argv[1] = "%s";
    for (size_t i = 2; i < 899; i++)
        argv[i] = argument;
    argv[899] = NULL;
    assert_int_equal(run_execute(&run, argv), 0);
    assert_int_equal(run.result.out_size, 897 * 1000);
    run_end(&run);
}

static void test_many_connections(void **state)
{
    enum { CONNECTIONS = 100 };
    struct agent_client *clients[CONNECTIONS];
    struct error err = {0};
    struct run run = run_begin(state);

    agent_client_free(run.client);
    for (int i = 0; i < CONNECTIONS; i++)
        clients[i] = agent_fixture_connect(agent_group(state));
    for (int i = 0; i < 60; i++)
        assert_int_equal(agent_call_ping(clients[i], agent_fixture_deadline(), &err), 0);
    for (int i = 0; i < 60; i++)
        agent_client_free(clients[i]);
    for (int i = 60; i < CONNECTIONS; i++)
        assert_int_equal(agent_call_ping(clients[i], agent_fixture_deadline(), &err), 0);
    for (int i = 60; i < CONNECTIONS; i++)
        agent_client_free(clients[i]);
    run.client = agent_fixture_connect(agent_group(state));
    run_shell(&run, "echo alive");
    assert_string_equal(run.result.out, "alive\n");
    run_end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_exit_code),
        cmocka_unit_test(test_signal_is_reported),
        cmocka_unit_test(test_arguments_stay_arguments),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_root_has_no_capabilities),
        cmocka_unit_test(test_priority_of_the_agent_stays_with_it),
        cmocka_unit_test(test_agent_is_closed_to_commands),
        cmocka_unit_test(test_failures_name_their_stage),
        cmocka_unit_test(test_ids_out_of_range),
        cmocka_unit_test(test_output_limit),
        cmocka_unit_test(test_long_line_and_bytes),
        cmocka_unit_test(test_large_stdin),
        cmocka_unit_test(test_stdin_that_nobody_reads),
        cmocka_unit_test(test_large_request),
        cmocka_unit_test(test_many_connections),
    };

    return cmocka_run_group_tests_name("agent: exec", tests, agent_group_set_up,
                                       agent_group_tear_down);
}
