/* Deadlines and whole process trees. */
#include "lib/agentproto/frame.h"
#include "lib/agentproto/message.h"
#include "lib/base/util.h"
#include "tests/unit/agent/run_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY "65534:65534"

static struct {
    struct run run;
    pthread_t thread;
} companion;

enum { TIMEOUT_MAX_MS = 60 * 1000 };

/* Runs what says `up` when it is ready for its time limit, which a busy machine may need longer
 * for. */
static void run_until_up(struct run *run, const char *script)
{
    run->request.timeout_ms = 100;
    do {
        run->request.timeout_ms *= 2;
        run_shell(run, script);
    } while (strncmp(run->result.out, "up\n", 3) != 0 && run->request.timeout_ms < TIMEOUT_MAX_MS);
}

static void test_timeout_terminates(void **state)
{
    struct run run = run_begin(state);

    run.request.grace_ms = TIMEOUT_MAX_MS;
    run_until_up(&run, "trap 'echo caught; exit 9' TERM; echo up; sleep 1000 & wait");
    assert_true(run.result.timed_out);
    assert_string_equal(run.result.out, "up\ncaught\n");
    assert_int_equal(run.result.exit_code, 9);
    run_end(&run);
}

/* Each process holds the write end of a FIFO; the reader sees the end of file when all are dead. */
static void test_timeout_kills_the_whole_tree(void **state)
{
    struct run run = run_begin(state);
    char script[512];
    char byte;
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/alive", agent_group(state)->folder);
    assert_int_equal(mkfifo(path, 0666), 0);
    assert_int_equal(chmod(path, 0666), 0);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
    run.request.grace_ms = 50;
    (void)snprintf(script, sizeof(script),
                   "exec 7>%s; trap '' TERM HUP INT; (setsid sh -c \"trap '' TERM; (setsid sleep "
                   "1000 &) ; sleep 1000\" &) ; echo up; sleep 1000; sleep 1000",
                   path);
    run_until_up(&run, script);
    assert_true(run.result.timed_out);
    assert_int_equal(run.result.signal, SIGKILL);
    assert_string_equal(run.result.out, "up\n");
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
    unlink(path);
    run_end(&run);
}

static void test_leftovers_die_when_asked(void **state)
{
    struct run run = run_begin(state);
    struct run other = run_begin(state);

    run_shell(&run, "(setsid sh -c 'exec sleep 600.21' &) ; echo gone");
    assert_string_equal(run.result.out, "gone\n");
    run_shell(&other, "pgrep -f '[s]leep 600.21'");
    assert_int_equal(other.result.exit_code, 1);
    run_end(&run);
    run_end(&other);
}

static void test_leftovers_stay_and_do_not_delay(void **state)
{
    struct run run = run_begin(state);

    run.request.kill_leftovers = false;
    run_shell(&run, "echo first; (setsid sleep 600.22 &)");
    assert_string_equal(run.result.out, "first\n");
    run_shell(&run, "until pgrep -xf '[s]leep 600.22'; do :; done");
    /* The deadline of another command does not touch them. */
    run.request.timeout_ms = 50;
    run.request.grace_ms = 0;
    run_shell(&run, "sleep 1000");
    assert_true(run.result.timed_out);
    run.request.timeout_ms = 0;
    run_shell(&run, "pkill -xf '[s]leep 600.22'");
    assert_int_equal(run.result.exit_code, 0);
    run_end(&run);
}

static void *run_slow(void *context)
{
    struct run *slow = context;
    const char *const argv[] = {"sh", "-c", "setsid sleep 600.23 & exec sleep 600.23", NULL};

    (void)run_execute(slow, argv);
    return NULL;
}

static void test_concurrent_trees_are_apart(void **state)
{
    struct run slow = run_begin(state);
    struct run quick = run_begin(state);
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, run_slow, &slow), 0);
    run_shell(&quick, "until test $(pgrep -cxf '[s]leep 600.23') = 2; do :; done");
    quick.request.timeout_ms = 50;
    quick.request.grace_ms = 10;
    run_shell(&quick, "trap '' TERM; (setsid sleep 600.25 &) ; setsid sleep 600.25 & sleep 1000");
    assert_true(quick.result.timed_out);
    quick.request.timeout_ms = 0;
    run_shell(&quick, "pgrep -cxf '[s]leep 600.25'; pgrep -cxf '[s]leep 600.23'");
    assert_string_equal(quick.result.out, "0\n2\n");
    run_shell(&quick, "pkill -KILL -xf '[s]leep 600.23'");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(slow.result.signal, SIGKILL);
    run_end(&slow);
    run_end(&quick);
}

static void *run_disguised(void *context)
{
    static const char script[] =
        "(setsid sh -c 'mark=$(($(prlimit --rttime --pid $$ -o HARD --noheadings --raw) - 1)); "
        "prlimit --rttime=$mark:$mark --pid $$; exec sleep 600.27' &); exec sleep 1000";
    const char *const argv[] = {"sh", "-c", script, NULL};

    (void)run_execute(context, argv);
    return NULL;
}

/* Lowering one's mark to that of the next command does not help. */
static void test_a_disguise_does_not_outlive_the_deadline(void **state)
{
    struct run disguised = run_begin(state);
    struct run other = run_begin(state);
    pthread_t thread;

    disguised.request.timeout_ms = 1500;
    disguised.request.grace_ms = 0;
    other.request.kill_leftovers = false;
    do { /* until it is disguised before its deadline */
        disguised.request.timeout_ms *= 2;
        other.request.timeout_ms = disguised.request.timeout_ms;
        assert_int_equal(pthread_create(&thread, NULL, run_disguised, &disguised), 0);
        run_shell(&other, "until pgrep -xf '[s]leep 600.27'; do :; done");
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(disguised.result.timed_out);
    } while (other.result.timed_out && other.request.timeout_ms < TIMEOUT_MAX_MS);
    other.request.timeout_ms = 0;
    run_shell(&other, "pgrep -cxf '[s]leep 600.27'");
    assert_string_equal(other.result.out, "0\n");
    run_end(&disguised);
    run_end(&other);
}

static void test_fork_bomb_is_one_tree(void **state)
{
    struct run run = run_begin(state);

    run.request.timeout_ms = 300;
    run.request.grace_ms = 0;
    run.request.user = "61234:61234";
    run_shell(&run, "prlimit --nproc=60 --pid $$; f() { f & f & sleep 1000; }; f 2>/dev/null & "
                    "exec sleep 1000");
    assert_true(run.result.timed_out);
    run.request.timeout_ms = 0;
    run.request.user = NOBODY;
    run_shell(&run, "pgrep -u 61234");
    assert_int_equal(run.result.exit_code, 1);
    run_end(&run);
}

static void test_lost_client_ends_its_command(void **state)
{
    struct run run = run_begin(state);
    struct run observer = run_begin(state);
    const char *const argv[] = {"sh", "-c", "(setsid sleep 600.24 &) ; sleep 600.24", NULL};

    run.request.argv = argv;
    assert_int_equal(agent_client_exec(run.client, &run.request, monotonic_usec() + 500000,
                                       &run.result, &run.err),
                     0);
    assert_true(run.result.overdue);
    assert_false(agent_client_lost(run.client));
    run_end(&run);
    run_shell(&observer, "while pgrep -f '[s]leep 600.24'; do :; done");
    assert_int_equal(observer.result.exit_code, 0);
    run_end(&observer);
}

static void send_exec(int fd, const char *script)
{
    const char *argv[] = {"sh", "-c", script};
    const char *env[] = {"PATH=/usr/bin:/bin"};
    const struct agent_exec_message message = {
        .command = {.cwd = "/", .user = NOBODY, .argc = 3, .envc = 1, .argv = argv, .env = env}};
    uint8_t frame[AGENT_HEADER_SIZE + 512];
    size_t size =
        agent_exec_encode(&message, frame + AGENT_HEADER_SIZE, sizeof(frame) - AGENT_HEADER_SIZE);

    agent_frame_header(frame, AGENT_FRAME_EXEC, (uint32_t)size);
    assert_int_equal(send(fd, frame, AGENT_HEADER_SIZE + size, MSG_NOSIGNAL),
                     AGENT_HEADER_SIZE + size);
}

/* Its process may not have begun to be the command's when it is to die. */
static void test_a_client_that_leaves_at_once_ends_its_command(void **state)
{
    enum { CLIENTS = 200 };
    struct run observer = run_begin(state);

    for (unsigned i = 0; i < CLIENTS; i++) {
        int fd = agent_fixture_socket(agent_group(state));

        send_exec(fd, "exec sleep 600.27");
        close(fd);
    }
    observer.request.timeout_ms = 30000;
    run_shell(&observer, "while pgrep -xf '[s]leep 600.27'; do sleep 0.1; done");
    assert_false(observer.result.timed_out);
    run_end(&observer);
}

static void *run_companion(void *context)
{
    run_shell(context, "echo up; exec sleep 600.26");
    return NULL;
}

/* Another command runs all the while, so that no tree is ever all that lives. */
static int set_up_with_companion(void **state)
{
    struct run observer;

    (void)agent_group_set_up(state);
    if (!*state)
        return 0;
    companion.run = run_begin(state);
    assert_int_equal(pthread_create(&companion.thread, NULL, run_companion, &companion.run), 0);
    observer = run_begin(state);
    run_shell(&observer, "until pgrep -xf '[s]leep 600.26'; do :; done");
    run_end(&observer);
    return 0;
}

/* The companion must have lived through it all. */
static int tear_down_with_companion(void **state)
{
    struct run observer;

    if (!*state)
        return 0;
    observer = run_begin(state);
    run_shell(&observer, "pkill -TERM -xf '[s]leep 600.26'");
    run_end(&observer);
    assert_int_equal(pthread_join(companion.thread, NULL), 0);
    assert_int_equal(companion.run.result.signal, SIGTERM);
    run_end(&companion.run);
    return agent_group_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeout_terminates),
        cmocka_unit_test(test_timeout_kills_the_whole_tree),
        cmocka_unit_test(test_leftovers_die_when_asked),
        cmocka_unit_test(test_leftovers_stay_and_do_not_delay),
        cmocka_unit_test(test_concurrent_trees_are_apart),
        cmocka_unit_test(test_a_disguise_does_not_outlive_the_deadline),
        cmocka_unit_test(test_fork_bomb_is_one_tree),
        cmocka_unit_test(test_lost_client_ends_its_command),
        cmocka_unit_test(test_a_client_that_leaves_at_once_ends_its_command),
    };
    int failed = cmocka_run_group_tests_name("agent: process trees", tests, agent_group_set_up,
                                             agent_group_tear_down);

    return failed + cmocka_run_group_tests_name("agent: process trees beside another", tests,
                                                set_up_with_companion, tear_down_with_companion);
}
