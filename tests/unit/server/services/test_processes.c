/* Processes of a container whose agent lies. */
#include "lib/agentproto/frame.h"
#include "lib/agentproto/message.h"
#include "lib/runtime/launcher_client.h"
#include "server/services/processes.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/process_log.h"
#include "tests/unit/support/store.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAYLOAD_MAX = 256 };

static const struct caller caller = {
    .tenant = {{0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}},
    .role = ROLE_MEMBER,
    .subject = "tester",
    .request_id = "request-1",
    .expires_at = INT64_MAX,
};

static char state_dir[64];
static struct config config;
static struct services services;

/* An agent whose table is full of one process, which it says has ended. */
struct agent {
    int listener;
    int connection;
    struct id listed;
    unsigned listings;
    pthread_t thread;
    struct agent_buffer buffer;
};

static int setup(void **state)
{
    if (postgres_test_setup(state) < 0)
        return -1;
    (void)snprintf(state_dir, sizeof(state_dir), "/tmp/atoll-state.XXXXXX");
    config = (struct config){.state_dir = mkdtemp(state_dir)};
    memset(&services, 0, sizeof(services));
    atomic_store(&services.config, &config);
    (void)snprintf(services.node_id, sizeof(services.node_id), "node-1");
    services.db = postgres_pool("atoll_app", 2);
    return launcher_client_open(state_dir, 1000, &services.launcher, NULL);
}

static int teardown(void **state)
{
    (void)state;
    launcher_client_free(services.launcher);
    db_pool_free(services.db);
    log_folder_remove(state_dir);
    return 0;
}

static void make_folders(const char *path)
{
    char folders[LAUNCHER_CLIENT_PATH_SIZE];

    (void)snprintf(folders, sizeof(folders), "%s", path);
    for (char *slash = strchr(folders + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(folders, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

static void listen_at(struct agent *agent, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    assert_true(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    agent->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(agent->listener >= 0);
    assert_int_equal(bind(agent->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(agent->listener, 1), 0);
}

static void say(const struct agent *agent, enum agent_frame_type type, const uint8_t *payload,
                size_t size)
{
    uint8_t frame[AGENT_HEADER_SIZE + PAYLOAD_MAX];

    agent_frame_header(frame, type, (uint32_t)size);
    memcpy(frame + AGENT_HEADER_SIZE, payload, size);
    (void)send(agent->connection, frame, AGENT_HEADER_SIZE + size, MSG_NOSIGNAL);
}

static void say_done(const struct agent *agent, uint64_t value)
{
    uint8_t payload[PAYLOAD_MAX];

    say(agent, AGENT_FRAME_DONE, payload, agent_done_encode(value, payload, sizeof(payload)));
}

static void say_full(const struct agent *agent)
{
    const struct agent_error_message message = {.stage = AGENT_STAGE_TABLE, .errnum = ENOSPC};
    uint8_t payload[PAYLOAD_MAX];

    say(agent, AGENT_FRAME_ERROR, payload, agent_error_encode(&message, payload, sizeof(payload)));
}

static void say_list(const struct agent *agent)
{
    const struct agent_process_message message = {
        .id = agent->listed, .state = AGENT_PROCESS_ENDED, .attempts = 1};
    uint8_t payload[PAYLOAD_MAX];

    say(agent, AGENT_FRAME_PROCESS, payload,
        agent_process_encode(&message, payload, sizeof(payload)));
    say_done(agent, 1);
}

static void answer(struct agent *agent, const struct agent_frame *frame)
{
    if (frame->type == AGENT_FRAME_START) {
        say_full(agent);
    } else if (frame->type == AGENT_FRAME_LIST) {
        agent->listings++;
        say_list(agent);
    } else {
        say_done(agent, 0);
    }
}

static void *lie(void *context)
{
    struct agent *agent = context;
    struct agent_frame frame;
    ssize_t got = 1;

    agent->connection = accept(agent->listener, NULL, NULL);
    while (agent->connection >= 0 && got > 0) {
        size_t size;
        uint8_t *space = agent_buffer_space(&agent->buffer, &size);

        got = recv(agent->connection, space, size, 0);
        agent_buffer_filled(&agent->buffer, got > 0 ? (size_t)got : 0);
        while (agent_buffer_next(&agent->buffer, &frame) == AGENT_FRAME_WHOLE)
            answer(agent, &frame);
    }
    (void)close(agent->connection);
    return NULL;
}

static void start(const struct id *container)
{
    static const char *const argv[] = {"true", NULL};
    const struct process_spec spec = {.argv = argv, .command_json = "[\"true\"]"};
    struct process_info info;
    struct error err;

    assert_int_equal(processes_start(&services, &caller, container, &spec, &info, &err), -1);
    assert_int_equal(err.code, ERR_TOO_MANY);
}

/* What the agent of `container` does when it says that `listed` has ended. */
static void start_with_lie(const struct id *container, const struct id *listed)
{
    static struct agent agent;
    char path[LAUNCHER_CLIENT_PATH_SIZE];

    agent = (struct agent){.listed = *listed};
    launcher_client_agent_path(services.launcher, container, 1, path);
    make_folders(path);
    listen_at(&agent, path);
    assert_int_equal(pthread_create(&agent.thread, NULL, lie, &agent), 0);
    start(container);
    assert_int_equal(pthread_join(agent.thread, NULL), 0);
    (void)close(agent.listener);
    assert_int_equal(agent.listings, 1);
}

static struct id begin(const struct id *container)
{
    const struct store_process_new process = simple_process(container, STORE_PROCESS_DETACHED);

    return begin_process(services.db, &process);
}

static long running(const struct id *process)
{
    return number_of("SELECT count(*) FROM processes WHERE id = '%s' AND state = 'running'",
                     process);
}

static void test_an_agent_ends_its_own_processes_only(void **state)
{
    struct id mine = make_running_container(services.db, &default_tenant);
    struct id other = make_running_container(services.db, &default_tenant);
    struct id of_mine = begin(&mine);
    struct id of_other = begin(&other);

    (void)state;
    start_with_lie(&mine, &of_other);
    assert_int_equal(running(&of_other), 1);
    start_with_lie(&other, &of_other);
    assert_int_equal(running(&of_other), 0);
    assert_int_equal(running(&of_mine), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_agent_ends_its_own_processes_only, setup, teardown),
    };

    return cmocka_run_group_tests(tests, postgres_group_setup, postgres_group_teardown);
}
