/* The client against a launcher of the test's own: a thread that answers as it is told. */
#include "lib/runtime/launcher_client.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

enum { FAKE_BACKLOG = 8 };

struct answer {
    struct launcher_reply reply;
    struct launcher_entry entries[LAUNCHER_LIST_PAGE];
};

/* Answers `rounds` requests, each on whatever connection it comes. */
struct fake {
    char folder[32];
    int listener;
    pthread_t thread;
    unsigned rounds;
    struct answer answers[4];
    size_t sizes[4]; /* 0: the size that the count calls for; SIZE_MAX: close instead */
    struct launcher_request seen[4];
    unsigned connections;
};

static void *serve(void *context)
{
    struct fake *fake = context;
    int fd = -1;

    for (unsigned i = 0; i < fake->rounds;) {
        if (fd < 0) {
            fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
            fake->connections++;
        }
        if (recv(fd, &fake->seen[i], sizeof(fake->seen[i]), 0) != (ssize_t)sizeof(fake->seen[i])) {
            close(fd);
            fd = -1;
            continue;
        }
        if (fake->sizes[i] == SIZE_MAX) {
            close(fd);
            fd = -1;
        } else {
            size_t size = fake->sizes[i]
                              ? fake->sizes[i]
                              : sizeof(struct launcher_reply) +
                                    fake->answers[i].reply.count * sizeof(struct launcher_entry);

            (void)send(fd, &fake->answers[i], size, MSG_NOSIGNAL);
        }
        i++;
    }
    cleanup_close(&fd);
    return NULL;
}

static void fake_answer(struct fake *fake, uint16_t op, int status)
{
    struct launcher_reply *reply = &fake->answers[fake->rounds++].reply;

    reply->magic = LAUNCHER_MAGIC;
    reply->version = LAUNCHER_VERSION;
    reply->op = op;
    reply->status = status;
}

static void fake_listen(struct fake *fake)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(fake->folder, sizeof(fake->folder), "/tmp/launcher.XXXXXX");
    assert_non_null(mkdtemp(fake->folder));
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/" LAUNCHER_SOCKET_NAME,
                   fake->folder);
    fake->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fake->listener, FAKE_BACKLOG), 0);
}

static struct launcher_client *fake_start(struct fake *fake)
{
    struct launcher_client *client;
    struct error err;

    fake_listen(fake);
    assert_int_equal(pthread_create(&fake->thread, NULL, serve, fake), 0);
    assert_int_equal(launcher_client_open(fake->folder, 60000, &client, &err), 0);
    return client;
}

static void fake_remove(struct fake *fake)
{
    char path[64];

    close(fake->listener);
    (void)snprintf(path, sizeof(path), "%s/" LAUNCHER_SOCKET_NAME, fake->folder);
    (void)unlink(path);
    (void)rmdir(fake->folder);
}

static void fake_stop(struct fake *fake, struct launcher_client *client)
{
    (void)pthread_join(fake->thread, NULL);
    launcher_client_free(client);
    fake_remove(fake);
}

static const struct id some_id = {{1, 2, 3}};

static void uses_one_connection_again(void **state)
{
    struct fake fake = {.rounds = 0};
    struct launcher_client *client;
    struct launcher_usage usage;
    struct error err;

    (void)state;
    fake_answer(&fake, LAUNCHER_OP_FREEZE, 0);
    fake_answer(&fake, LAUNCHER_OP_DESTROY, 0);
    fake.answers[1].reply.usage.oom_kills = 3;
    client = fake_start(&fake);
    assert_int_equal(launcher_client_freeze(client, &some_id, 4, &err), 0);
    assert_int_equal(launcher_client_destroy(client, &some_id, 4, &usage, &err), 0);
    assert_int_equal(usage.oom_kills, 3);
    fake_stop(&fake, client);
    assert_int_equal(fake.connections, 1);
    assert_int_equal(fake.seen[0].op, LAUNCHER_OP_FREEZE);
    assert_int_equal(fake.seen[1].generation, 4);
    assert_true(id_equal(&fake.seen[1].id, &some_id));
}

static void asks_for_an_early_answer_only_when_told(void **state)
{
    struct fake fake = {.rounds = 0};
    struct launcher_client *client;
    struct launcher_usage usage;
    struct error err;

    (void)state;
    fake_answer(&fake, LAUNCHER_OP_DESTROY, 0);
    fake.answers[0].reply.usage.cpu_usec = 12;
    fake_answer(&fake, LAUNCHER_OP_DESTROY, ESRCH);
    client = fake_start(&fake);
    assert_int_equal(launcher_client_destroy_early(client, &some_id, 4, &usage, &err), 0);
    assert_int_equal(usage.cpu_usec, 12);
    assert_int_equal(launcher_client_destroy(client, &some_id, 4, NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    fake_stop(&fake, client);
    assert_int_equal(fake.seen[0].early, 1);
    assert_int_equal(fake.seen[0].generation, 4);
    assert_int_equal(fake.seen[1].early, 0);
}

static void fills_in_the_head_of_a_create(void **state)
{
    struct fake fake = {.rounds = 0};
    struct launcher_request request = {.id = some_id, .generation = 9, .image = "base"};
    struct launcher_timings timings;
    struct launcher_client *client;
    struct error err;

    (void)state;
    fake_answer(&fake, LAUNCHER_OP_CREATE, 0);
    fake.answers[0].reply.timings.clone_usec = 77;
    client = fake_start(&fake);
    assert_int_equal(launcher_client_create(client, &request, &timings, &err), 0);
    assert_int_equal(timings.clone_usec, 77);
    fake_stop(&fake, client);
    assert_int_equal(fake.seen[0].magic, LAUNCHER_MAGIC);
    assert_int_equal(fake.seen[0].version, LAUNCHER_VERSION);
    assert_int_equal(fake.seen[0].op, LAUNCHER_OP_CREATE);
    assert_string_equal(fake.seen[0].image, "base");
}

static void tells_errors_apart(void **state)
{
    struct fake fake = {.rounds = 0};
    struct launcher_client *client;
    struct error err;

    (void)state;
    fake_answer(&fake, LAUNCHER_OP_CREATE, ENOENT);
    (void)snprintf(fake.answers[0].reply.detail, sizeof(fake.answers[0].reply.detail),
                   "cannot open the image");
    fake_answer(&fake, LAUNCHER_OP_DESTROY, ESRCH);
    fake_answer(&fake, LAUNCHER_OP_FREEZE, EINVAL);
    client = fake_start(&fake);
    assert_int_equal(
        launcher_client_create(client, &(struct launcher_request){.generation = 1}, NULL, &err),
        -1);
    assert_int_equal(err.code, ERR_RUNTIME_MISSING);
    assert_non_null(strstr(err.message, "cannot open the image"));
    assert_int_equal(launcher_client_destroy(client, &some_id, 1, NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(launcher_client_freeze(client, &some_id, 1, &err), -1);
    assert_int_equal(err.code, ERR_INTERNAL);
    fake_stop(&fake, client);
}

static void refuses_malformed_answers(void **state)
{
    struct fake fake = {.rounds = 0};
    struct launcher_client *client;
    struct error err;
    uint64_t features = 5;

    (void)state;
    fake_answer(&fake, LAUNCHER_OP_FEATURES, 0);
    fake.sizes[0] = 12;
    fake_answer(&fake, LAUNCHER_OP_DESTROY, 0); /* of another op */
    fake_answer(&fake, LAUNCHER_OP_FEATURES, 0);
    fake.answers[2].reply.count = 60000;
    fake.sizes[2] = sizeof(struct answer);
    fake_answer(&fake, LAUNCHER_OP_FEATURES, 0);
    memset(fake.answers[3].reply.detail, 'x', sizeof(fake.answers[3].reply.detail));
    client = fake_start(&fake);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(launcher_client_features(client, &features, &err), -1);
        assert_int_equal(err.code, ERR_INTERNAL);
    }
    assert_int_equal(features, 5);
    fake_stop(&fake, client);
}

static void goes_on_after_the_launcher_closed(void **state)
{
    struct fake fake = {.rounds = 0};
    struct launcher_client *client;
    struct error err;

    (void)state;
    fake_answer(&fake, LAUNCHER_OP_THAW, 0);
    fake.sizes[0] = SIZE_MAX;
    fake_answer(&fake, LAUNCHER_OP_THAW, 0);
    client = fake_start(&fake);
    assert_int_equal(launcher_client_thaw(client, &some_id, 1, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(launcher_client_thaw(client, &some_id, 1, &err), 0);
    fake_stop(&fake, client);
}

static void walks_all_pages(void **state)
{
    struct fake fake = {.rounds = 0};
    _cleanup_free_ struct launcher_entry *entries = NULL;
    struct launcher_client *client;
    struct error err;
    size_t count = 0;

    (void)state;
    fake_answer(&fake, LAUNCHER_OP_LIST, 0);
    fake.answers[0].reply.count = LAUNCHER_LIST_PAGE;
    fake.answers[0].reply.next_cursor = LAUNCHER_LIST_PAGE;
    fake_answer(&fake, LAUNCHER_OP_LIST, 0);
    fake.answers[1].reply.count = 1;
    fake.answers[1].entries[0].generation = 42;
    client = fake_start(&fake);
    assert_int_equal(launcher_client_list(client, &entries, &count, &err), 0);
    assert_int_equal(count, LAUNCHER_LIST_PAGE + 1);
    assert_int_equal(entries[LAUNCHER_LIST_PAGE].generation, 42);
    fake_stop(&fake, client);
    assert_int_equal(fake.seen[1].cursor, LAUNCHER_LIST_PAGE);
}

static void says_that_the_launcher_is_away(void **state)
{
    struct launcher_client *client;
    struct error err;
    uint64_t features;

    (void)state;
    assert_int_equal(launcher_client_open("/tmp/no-launcher-here", 100, &client, &err), 0);
    assert_int_equal(launcher_client_features(client, &features, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    launcher_client_free(client);
}

static void does_not_wait_for_ever(void **state)
{
    struct fake fake = {.rounds = 0};
    struct launcher_client *client;
    struct error err;
    uint64_t features;

    (void)state;
    fake_listen(&fake); /* nobody accepts, and what waits fills the backlog */
    assert_int_equal(launcher_client_open(fake.folder, 10, &client, &err), 0);
    for (unsigned i = 0; i < 2 * FAKE_BACKLOG; i++) {
        assert_int_equal(launcher_client_features(client, &features, &err), -1);
        assert_int_equal(err.code, ERR_UNAVAILABLE);
    }
    launcher_client_free(client);
    fake_remove(&fake);
}

static void names_the_agents_socket(void **state)
{
    struct launcher_client *client;
    char path[LAUNCHER_CLIENT_PATH_SIZE];
    char longest[LAUNCHER_CLIENT_PATH_SIZE];
    struct error err;

    (void)state;
    assert_int_equal(launcher_client_open("/run/atoll", 1, &client, &err), 0);
    launcher_client_agent_path(client, &some_id, 4294967295u, path);
    assert_string_equal(
        path, "/run/atoll/sandboxes/01020300000000000000000000000000.4294967295/agent.sock");
    launcher_client_free(client);
    memset(longest, 'a', 43);
    longest[43] = '\0';
    assert_int_equal(launcher_client_open(longest, 1, &client, &err), -1);
    longest[42] = '\0';
    assert_int_equal(launcher_client_open(longest, 1, &client, &err), 0);
    launcher_client_agent_path(client, &some_id, 4294967295u, path);
    assert_int_equal(strlen(path), LAUNCHER_CLIENT_PATH_SIZE - 1);
    launcher_client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uses_one_connection_again),
        cmocka_unit_test(asks_for_an_early_answer_only_when_told),
        cmocka_unit_test(fills_in_the_head_of_a_create),
        cmocka_unit_test(tells_errors_apart),
        cmocka_unit_test(refuses_malformed_answers),
        cmocka_unit_test(goes_on_after_the_launcher_closed),
        cmocka_unit_test(walks_all_pages),
        cmocka_unit_test(says_that_the_launcher_is_away),
        cmocka_unit_test(does_not_wait_for_ever),
        cmocka_unit_test(names_the_agents_socket),
    };

    return cmocka_run_group_tests_name("lib/runtime/launcher_client", tests, NULL, NULL);
}
