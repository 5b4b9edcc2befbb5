/* The end of all sandboxes, of a launcher of the test's own. */
#include "cli/sandboxes.h"

#include <atoll/cleanup.h>
#include <atoll/launcher_proto.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIVE = 4 };

static char folder[] = "/tmp/atoll-ends-XXXXXX";
static int listener = -1;
static int answers[LIVE]; /* to the destroy of each, errno values */
static bool asked[LIVE];  /* whose destroy came */

/* Answers one request; false at the connection's end. The generations are the numbers. */
static bool answer(int fd)
{
    struct {
        struct launcher_reply reply;
        struct launcher_entry entries[LIVE];
    } packet = {.reply = {.magic = LAUNCHER_MAGIC, .version = LAUNCHER_VERSION}};
    struct launcher_request request;

    if (recv(fd, &request, sizeof(request), 0) != (ssize_t)sizeof(request))
        return false;
    packet.reply.op = request.op;
    if (request.op == LAUNCHER_OP_DESTROY) {
        asked[request.generation] = true;
        packet.reply.status = answers[request.generation];
    } else {
        packet.reply.count = LIVE;
        for (uint32_t i = 0; i < LIVE; i++)
            packet.entries[i] = (struct launcher_entry){.generation = i, .pid = 1};
    }
    (void)send(fd, &packet,
               sizeof(packet.reply) + packet.reply.count * sizeof(struct launcher_entry),
               MSG_NOSIGNAL);
    return true;
}

static void *serve(void *unused)
{
    _cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    (void)unused;
    while (fd >= 0 && answer(fd))
        ;
    return NULL;
}

static int start_launcher(void **state)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char path[64];

    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/" LAUNCHER_SANDBOXES_DIR, folder);
    (void)mkdir(path, 0755);
    (void)snprintf(path, sizeof(path), "%s/" LAUNCHER_SANDBOXES_DIR "/one", folder);
    (void)mkdir(path, 0755);
    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s/" LAUNCHER_SOCKET_NAME, folder);
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    return bind(listener, (const struct sockaddr *)&name, sizeof(name)) < 0 ||
                   listen(listener, 1) < 0
               ? -1
               : 0;
}

static int stop_launcher(void **state)
{
    char command[64];

    (void)state;
    (void)close(listener);
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

/* One has ended by itself meanwhile, another does not want to. */
static void test_none_is_left_because_of_another(void **state)
{
    const struct config config = {.state_run_dir = folder};
    pthread_t thread;

    (void)state;
    answers[0] = ESRCH;
    answers[2] = EBUSY;
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    sandboxes_destroy_all(&config);
    (void)pthread_join(thread, NULL);
    for (size_t i = 0; i < LIVE; i++)
        assert_true(asked[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_none_is_left_because_of_another, start_launcher,
                                        stop_launcher),
    };

    return cmocka_run_group_tests_name("sandboxes", tests, NULL, NULL);
}
