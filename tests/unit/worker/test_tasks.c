/* The worker's tasks against a real PostgreSQL and a launcher of the test's own: a thread that
 * keeps a list of live sandboxes. */
#include "lib/db/store_system.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"
#include "worker/worker.h"

#include <atoll/cleanup.h>
#include <atoll/config.h>
#include <atoll/log.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

enum { LIVE_MAX = 8 };

static struct {
    char folder[64];
    int listener;
    int stop[2]; /* a pipe: its end stops the thread */
    pthread_t thread;
    pthread_mutex_t lock;
    /* Under the lock: */
    struct launcher_entry live[LIVE_MAX];
    uint32_t count;
    int destroy_status; /* errno value that destroy answers with */
    bool resumed;       /* whom the next freeze or thaw concerns is resumed by somebody else */
} launcher = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct config config = {.monitor_retention_s = 1000, .events_retention_s = 1000};
static struct db_pool *app;
static struct worker worker;

static void add_live(const struct id *id, uint32_t generation, uint64_t age_s)
{
    (void)pthread_mutex_lock(&launcher.lock);
    launcher.live[launcher.count++] = (struct launcher_entry){
        .id = *id, .generation = generation, .pid = 1, .age_usec = age_s * 1000000};
    (void)pthread_mutex_unlock(&launcher.lock);
}

static uint32_t live_count(void)
{
    uint32_t count;

    (void)pthread_mutex_lock(&launcher.lock);
    count = launcher.count;
    (void)pthread_mutex_unlock(&launcher.lock);
    return count;
}

static int destroy(const struct launcher_request *request)
{
    if (launcher.destroy_status != 0)
        return launcher.destroy_status;
    for (uint32_t i = 0; i < launcher.count; i++) {
        if (!id_equal(&launcher.live[i].id, &request->id) ||
            (request->generation != 0 && launcher.live[i].generation != request->generation))
            continue;
        launcher.live[i] = launcher.live[--launcher.count];
        return 0;
    }
    return ESRCH;
}

static int set_frozen(const struct launcher_request *request, bool frozen)
{
    if (launcher.resumed)
        postgres_execute("UPDATE sandboxes SET state = 'running' WHERE state = 'paused'");
    launcher.resumed = false;
    for (uint32_t i = 0; i < launcher.count; i++) {
        if (id_equal(&launcher.live[i].id, &request->id)) {
            launcher.live[i].frozen = frozen;
            return 0;
        }
    }
    return ESRCH;
}

/* Answers one request; false at the connection's end. */
static bool answer(int fd)
{
    struct {
        struct launcher_reply reply;
        struct launcher_entry entries[LIVE_MAX];
    } packet = {.reply = {.magic = LAUNCHER_MAGIC, .version = LAUNCHER_VERSION}};
    struct launcher_request request;

    if (recv(fd, &request, sizeof(request), 0) != (ssize_t)sizeof(request))
        return false;
    packet.reply.op = request.op;
    (void)pthread_mutex_lock(&launcher.lock);
    if (request.op == LAUNCHER_OP_DESTROY)
        packet.reply.status = destroy(&request);
    if (request.op == LAUNCHER_OP_FREEZE || request.op == LAUNCHER_OP_THAW)
        packet.reply.status = set_frozen(&request, request.op == LAUNCHER_OP_FREEZE);
    if (request.op == LAUNCHER_OP_LIST) {
        packet.reply.count = launcher.count;
        memcpy(packet.entries, launcher.live, sizeof(packet.entries));
    }
    (void)pthread_mutex_unlock(&launcher.lock);
    (void)send(fd, &packet,
               sizeof(packet.reply) + packet.reply.count * sizeof(struct launcher_entry),
               MSG_NOSIGNAL);
    return true;
}

/* The worker has one thread, so its client has one connection. */
static void *serve(void *context)
{
    struct pollfd fds[] = {{.fd = launcher.stop[0], .events = POLLIN},
                           {.fd = launcher.listener, .events = POLLIN},
                           {.fd = -1, .events = POLLIN}};

    (void)context;
    while (poll(fds, 3, -1) > 0 && fds[0].revents == 0) {
        if (fds[1].revents & POLLIN) {
            cleanup_close(&fds[2].fd);
            fds[2].fd = accept4(launcher.listener, NULL, NULL, SOCK_CLOEXEC);
        } else if (fds[2].revents != 0 && !answer(fds[2].fd)) {
            close(fds[2].fd);
            fds[2].fd = -1;
        }
    }
    cleanup_close(&fds[2].fd);
    return NULL;
}

static int start_launcher(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    launcher.count = 0;
    launcher.destroy_status = 0;
    launcher.resumed = false;
    (void)snprintf(launcher.folder, sizeof(launcher.folder), "/tmp/atoll-run-XXXXXX");
    if (!mkdtemp(launcher.folder) || pipe2(launcher.stop, O_CLOEXEC) < 0)
        return -1;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/" LAUNCHER_SOCKET_NAME,
                   launcher.folder);
    launcher.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (bind(launcher.listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(launcher.listener, 4) < 0)
        return -1;
    return pthread_create(&launcher.thread, NULL, serve, NULL);
}

static void stop_launcher(void)
{
    char path[96];

    close(launcher.stop[1]);
    (void)pthread_join(launcher.thread, NULL);
    close(launcher.stop[0]);
    close(launcher.listener);
    (void)snprintf(path, sizeof(path), "%s/" LAUNCHER_SOCKET_NAME, launcher.folder);
    (void)unlink(path);
    (void)rmdir(launcher.folder);
}

static int setup(void **state)
{
    app = NULL;
    worker = (struct worker){.config = &config, .node = "node-1"};
    if (postgres_test_setup(state) < 0 || start_launcher() != 0)
        return -1;
    app = postgres_pool("atoll_app", 1);
    worker.pool = postgres_pool("atoll_system", 1);
    return launcher_client_open(launcher.folder, 60000, &worker.launcher, NULL);
}

static int teardown(void **state)
{
    (void)state;
    launcher_client_free(worker.launcher);
    stop_launcher();
    db_pool_free(worker.pool);
    db_pool_free(app);
    return 0;
}

typedef int task(struct worker *worker, struct worker_round *ret_round, struct error *err);

static uint64_t run_task(task *run)
{
    struct worker_round round;
    struct error err;

    if (run(&worker, &round, &err) < 0)
        fail_msg("%s", err.message);
    return round.done;
}

static void expire_all(void)
{
    postgres_execute("UPDATE sandboxes SET expires_at = now()");
}

static void test_expiry_ends_runs_and_erases(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    struct id kept = make_sandbox(app, &default_tenant);
    struct store_run run = make_run(&id);

    (void)state;
    add_live(&id, begin_run(app, &default_tenant, &run), 1);
    add_live(&kept, 1, 1);
    assert_int_equal(run_task(worker_expire), 0);
    (void)number_of("UPDATE sandboxes SET expires_at = now() WHERE id = '%s'", &id);
    assert_int_equal(run_task(worker_expire), 1);
    assert_int_equal(run_task(worker_expire), 0);
    assert_int_equal(live_count(), 1);
    assert_int_equal(number_of("SELECT count(*) FROM sandboxes WHERE id = '%s' AND state ="
                               " 'deleted'",
                               &id),
                     1);
    assert_int_equal(number_of("SELECT count(*) FROM sandboxes WHERE id = '%s' AND state ="
                               " 'stopped'",
                               &kept),
                     1);
}

static void test_what_cannot_be_ended_stays_deleting(void **state)
{
    struct id busy = make_sandbox(app, &default_tenant);
    struct id idle = make_sandbox(app, &default_tenant);
    struct store_run run = make_run(&busy);
    struct worker_round round;
    struct error err;

    (void)state;
    add_live(&busy, begin_run(app, &default_tenant, &run), 1);
    launcher.destroy_status = EBUSY;
    expire_all();
    assert_int_equal(worker_expire(&worker, &round, &err), -1);
    assert_int_equal(number_of("SELECT count(*) FROM sandboxes WHERE id = '%s' AND state ="
                               " 'deleting' AND code IS NOT NULL",
                               &busy),
                     1);
    assert_int_equal(number_of("SELECT count(*) FROM sandboxes WHERE id = '%s' AND state ="
                               " 'deleted'",
                               &idle),
                     1);
    launcher.destroy_status = 0;
    assert_int_equal(run_task(worker_expire), 0);
    postgres_execute("UPDATE sandboxes SET last_active_at = now() - interval '31 seconds'"
                     " WHERE state = 'deleting'");
    assert_int_equal(run_task(worker_expire), 1);
    assert_int_equal(live_count(), 0);
}

static void test_a_run_that_is_gone_already_is_no_obstacle(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    struct store_run run = make_run(&id);

    (void)state;
    (void)begin_run(app, &default_tenant, &run);
    expire_all();
    assert_int_equal(run_task(worker_expire), 1);
}

static void test_orphans_are_swept_and_live_runs_are_not(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    struct store_run run = make_run(&id);
    struct id nobody;

    (void)state;
    assert_int_equal(id_new(&nobody, NULL), 0);
    add_live(&id, begin_run(app, &default_tenant, &run), 1000);
    add_live(&nobody, 1, 11);
    add_live(&nobody, 2, 9);
    assert_int_equal(run_task(worker_reconcile), 1);
    assert_int_equal(live_count(), 2);
}

static void test_a_restarted_servers_run_is_lost_and_swept(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    struct store_run run = make_run(&id);
    struct id boot;

    (void)state;
    assert_int_equal(id_new(&boot, NULL), 0);
    add_live(&id, begin_run(app, &default_tenant, &run), 11);
    assert_int_equal(store_node_register(app, "node-1", &boot, NULL), 0);
    assert_int_equal(run_task(worker_reconcile), 2);
    assert_int_equal(live_count(), 0);
    assert_int_equal(number_of("SELECT count(*) FROM sandboxes WHERE id = '%s' AND state ="
                               " 'stopped' AND last_run_state = 'lost'",
                               &id),
                     1);
}

static void test_without_a_database_nothing_is_swept(void **state)
{
    struct db_pool *real = worker.pool;
    struct worker_round round;
    struct error err;
    struct id nobody;

    (void)state;
    assert_int_equal(id_new(&nobody, NULL), 0);
    add_live(&nobody, 1, 1000);
    assert_int_equal(db_pool_create("host=/nonexistent", 1, "test", &worker.pool, NULL), 0);
    assert_int_equal(worker_reconcile(&worker, &round, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(live_count(), 1);
    db_pool_free(worker.pool);
    worker.pool = real;
}

static void test_retention_follows_the_configuration(void **state)
{
    struct store_deletion deletion;
    struct id id = make_sandbox(app, &default_tenant);

    (void)state;
    assert_int_equal(
        store_sandbox_delete_begin(app, &default_scope, &id, &test_origin, &deletion, NULL), 0);
    postgres_execute("UPDATE sandboxes SET deleted_at = now() - interval '900 seconds'");
    assert_int_equal(run_task(worker_retain), 0);
    postgres_execute("UPDATE sandboxes SET deleted_at = now() - interval '1001 seconds'");
    assert_int_equal(run_task(worker_retain), 1);
    assert_int_equal(postgres_number("SELECT count(*) FROM sandboxes"), 0);
}

/* A running container in generation 1, so long unchanged that nobody is at it. */
static struct id make_running(void)
{
    struct id id = make_container(app, &default_tenant);

    step_container(app, &default_tenant, &id, 1, SANDBOX_CREATING, SANDBOX_RUNNING);
    postgres_execute("UPDATE sandboxes SET state_changed_at = now() - interval '100 seconds'");
    return id;
}

static void assert_state(const struct id *id, const char *wanted)
{
    _cleanup_free_ char *found =
        value_of("SELECT state || ' ' || state_reason FROM sandboxes WHERE id = '%s'", id);

    assert_string_equal(found, wanted);
}

static void test_an_idle_container_is_stopped(void **state)
{
    struct id idle = make_running();
    struct id used = make_running();
    struct id paused = make_running();

    (void)state;
    step_container(app, &default_tenant, &paused, 1, SANDBOX_RUNNING, SANDBOX_PAUSED);
    postgres_execute("UPDATE sandboxes SET last_active_at = now() - interval '3601 seconds'");
    (void)number_of("UPDATE sandboxes SET last_active_at = now() WHERE id = '%s'", &used);
    assert_int_equal(run_task(worker_stop_idle), 0); /* PostgreSQL began since */
    (void)number_of("UPDATE sandboxes SET idle_timeout_s = 1 WHERE id <> '%s'", &used);
    postgres_execute("SELECT pg_sleep_until(pg_postmaster_start_time() + interval '1 second')");
    add_live(&idle, 1, 11);
    add_live(&used, 1, 11);
    add_live(&paused, 1, 11);
    assert_int_equal(run_task(worker_stop_idle), 1);
    assert_int_equal(run_task(worker_stop_idle), 0);
    assert_state(&idle, "stopped idle_timeout");
    assert_state(&used, "running requested");
    assert_state(&paused, "paused requested");
    assert_int_equal(live_count(), 2);
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s' AND actor ="
                               " 'worker' AND kind = 'sandbox.stopped'",
                               &idle),
                     1);
}

static void test_the_lifetime_ends_a_container_whatever_it_does(void **state)
{
    struct id id = make_running();

    (void)state;
    add_live(&id, 1, 11);
    expire_all();
    assert_int_equal(run_task(worker_expire), 1);
    assert_int_equal(live_count(), 0);
    assert_state(&id, "deleted max_lifetime");
}

static void test_a_container_without_a_sandbox_is_lost(void **state)
{
    struct id lost = make_running();
    struct id stopping = make_running();
    struct id elsewhere = make_running();

    (void)state;
    (void)number_of("UPDATE sandboxes SET state_reason = 'stop_requested' WHERE id = '%s'",
                    &stopping);
    (void)number_of("UPDATE sandboxes SET node_id = 'node-2' WHERE id = '%s'", &elsewhere);
    add_live(&lost, 2, 11); /* another generation is another sandbox */
    assert_int_equal(run_task(worker_reconcile_containers), 2);
    assert_state(&lost, "stopped lost");
    assert_state(&stopping, "stopped requested");
    assert_state(&elsewhere, "running requested");
    assert_int_equal(run_task(worker_reconcile), 1);
    assert_int_equal(live_count(), 0);
}

static void test_a_live_container_is_nobodys_orphan(void **state)
{
    struct id running = make_running();
    struct id stopped = make_running();
    struct id creating = make_container(app, &default_tenant);

    (void)state;
    step_container(app, &default_tenant, &stopped, 1, SANDBOX_RUNNING, SANDBOX_STOPPED);
    add_live(&running, 1, 1000);
    add_live(&creating, 1, 1000);
    add_live(&stopped, 1, 1000);
    assert_int_equal(run_task(worker_reconcile), 1);
    assert_int_equal(live_count(), 2);
    assert_int_equal(run_task(worker_reconcile_containers), 0);
}

/* What a server left that ended in the middle. */
static void test_an_unfinished_creation_is_finished_or_fails(void **state)
{
    struct id again = make_running();
    struct id lives = make_container(app, &default_tenant);
    struct id unknown = make_container(app, &default_tenant);
    struct id dead = make_container(app, &default_tenant);

    (void)state;
    step_container(app, &default_tenant, &again, 1, SANDBOX_RUNNING, SANDBOX_STOPPED);
    step_container(app, &default_tenant, &again, 1, SANDBOX_STOPPED, SANDBOX_CREATING);
    (void)number_of("UPDATE sandboxes SET command = '[\"x\"]' WHERE id = '%s'", &unknown);
    add_live(&lives, 1, 100);
    add_live(&unknown, 1, 100);
    assert_int_equal(run_task(worker_reconcile_containers), 0);
    postgres_execute("UPDATE sandboxes SET state_changed_at = now() - interval '100 seconds'");
    assert_int_equal(run_task(worker_reconcile_containers), 4);
    assert_state(&lives, "running requested");
    assert_state(&unknown, "failed unfinished");
    assert_state(&dead, "failed unfinished");
    assert_state(&again, "stopped unfinished");
    assert_int_equal(live_count(), 1);
}

static bool is_frozen(void)
{
    bool frozen;

    (void)pthread_mutex_lock(&launcher.lock);
    frozen = launcher.live[0].frozen;
    (void)pthread_mutex_unlock(&launcher.lock);
    return frozen;
}

static void test_the_freezer_follows_the_row(void **state)
{
    struct id id = make_running();

    (void)state;
    add_live(&id, 1, 100);
    step_container(app, &default_tenant, &id, 1, SANDBOX_RUNNING, SANDBOX_PAUSED);
    assert_int_equal(run_task(worker_reconcile_containers), 0); /* it may be under way */
    postgres_execute("UPDATE sandboxes SET state_changed_at = now() - interval '100 seconds'");
    assert_int_equal(run_task(worker_reconcile_containers), 1);
    assert_true(is_frozen());
    assert_int_equal(run_task(worker_reconcile_containers), 0);
}

static void test_a_freeze_that_comes_too_late_is_taken_back(void **state)
{
    struct id id = make_running();

    (void)state;
    add_live(&id, 1, 100);
    step_container(app, &default_tenant, &id, 1, SANDBOX_RUNNING, SANDBOX_PAUSED);
    postgres_execute("UPDATE sandboxes SET state_changed_at = now() - interval '100 seconds'");
    launcher.resumed = true;
    assert_int_equal(run_task(worker_reconcile_containers), 1);
    assert_false(is_frozen());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_expiry_ends_runs_and_erases),
        TEST(test_what_cannot_be_ended_stays_deleting),
        TEST(test_a_run_that_is_gone_already_is_no_obstacle),
        TEST(test_orphans_are_swept_and_live_runs_are_not),
        TEST(test_a_restarted_servers_run_is_lost_and_swept),
        TEST(test_an_idle_container_is_stopped),
        TEST(test_the_lifetime_ends_a_container_whatever_it_does),
        TEST(test_a_container_without_a_sandbox_is_lost),
        TEST(test_a_live_container_is_nobodys_orphan),
        TEST(test_an_unfinished_creation_is_finished_or_fails),
        TEST(test_the_freezer_follows_the_row),
        TEST(test_a_freeze_that_comes_too_late_is_taken_back),
        TEST(test_without_a_database_nothing_is_swept),
        TEST(test_retention_follows_the_configuration),
    };

    log_init("test", LOG_ERROR, false);
    return cmocka_run_group_tests_name("worker/tasks", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
