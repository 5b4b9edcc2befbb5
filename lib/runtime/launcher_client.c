#include "lib/runtime/launcher_client.h"

#include "lib/base/util.h"
#include "lib/runtime/agent_client.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

enum {
    IDLE_CONNECTIONS = 16,
    ENTRIES_MAX = 1 << 20,
    /* What an agent's socket leaves of an address: folder, id, dot, ten digits, name. */
    RUN_DIR_SIZE = LAUNCHER_CLIENT_PATH_SIZE -
                   (int)(sizeof("/" LAUNCHER_SANDBOXES_DIR "/.4294967295/" LAUNCHER_AGENT_SOCKET) -
                         1 + ID_TEXT_SIZE - 1),
};

struct launcher_client {
    char run_dir[RUN_DIR_SIZE];
    int timeout_ms;
    struct sockaddr_un address;
    pthread_mutex_t lock; /* of the two below */
    int idle[IDLE_CONNECTIONS];
    unsigned idle_count;
};

struct answer {
    struct launcher_reply reply;
    struct launcher_entry entries[LAUNCHER_LIST_PAGE];
};

int launcher_client_open(const char *run_dir, int timeout_ms, struct launcher_client **ret_client,
                         struct error *err)
{
    struct launcher_client *client;

    if (strlen(run_dir) >= RUN_DIR_SIZE)
        return error_set(err, ERR_INTERNAL, "the run folder's path is too long for a socket: %s",
                         run_dir);
    client = calloc(1, sizeof(*client));
    if (!client)
        return error_set_errno(err, ENOMEM, "cannot make a client of the launcher");
    client->timeout_ms = timeout_ms;
    client->address.sun_family = AF_UNIX;
    (void)snprintf(client->run_dir, sizeof(client->run_dir), "%s", run_dir);
    (void)snprintf(client->address.sun_path, sizeof(client->address.sun_path),
                   "%s/" LAUNCHER_SOCKET_NAME, run_dir);
    (void)pthread_mutex_init(&client->lock, NULL);
    *ret_client = client;
    return 0;
}

void launcher_client_free(struct launcher_client *client)
{
    if (!client)
        return;
    for (unsigned i = 0; i < client->idle_count; i++)
        close(client->idle[i]);
    (void)pthread_mutex_destroy(&client->lock);
    free(client);
}

/* An idle connection, or -1. */
static int take_idle(struct launcher_client *client)
{
    int fd = -1;

    (void)pthread_mutex_lock(&client->lock);
    if (client->idle_count > 0)
        fd = client->idle[--client->idle_count];
    (void)pthread_mutex_unlock(&client->lock);
    return fd;
}

static void put_idle(struct launcher_client *client, int fd)
{
    (void)pthread_mutex_lock(&client->lock);
    if (client->idle_count < IDLE_CONNECTIONS)
        client->idle[client->idle_count++] = TAKE_FD(fd);
    (void)pthread_mutex_unlock(&client->lock);
    cleanup_close(&fd);
}

static int connect_new(const struct launcher_client *client, int *ret_fd, struct error *err)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = client->timeout_ms / 1000,
                            .tv_usec = client->timeout_ms % 1000 * 1000L};

    if (fd < 0)
        return error_set_errno(err, errno, "cannot make a socket");
    /* Of a launcher that stands still the backlog fills up, and connect waits as long as this says
     * (unix(7), socket(7)). */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
        return error_set_errno(err, errno, "cannot bound the waits for the launcher");
    if (connect(fd, (const struct sockaddr *)&client->address, sizeof(client->address)) < 0)
        return error_set(err, ERR_UNAVAILABLE, "cannot reach the launcher at %s: %s",
                         client->address.sun_path, strerrordesc_np(errno));
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* An idle connection whose other end has gone is readable; a live one says nothing unasked. */
static bool is_stale(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};

    return poll(&look, 1, 0) != 0;
}

static int take_connection(struct launcher_client *client, int *ret_fd, struct error *err)
{
    for (int fd = take_idle(client); fd >= 0; fd = take_idle(client)) {
        if (!is_stale(fd)) {
            *ret_fd = fd;
            return 0;
        }
        close(fd);
    }
    return connect_new(client, ret_fd, err);
}

static int wait_readable(int fd, int64_t deadline, struct error *err)
{
    for (;;) {
        struct pollfd look = {.fd = fd, .events = POLLIN};
        int got = poll(&look, 1, deadline_left_ms(deadline));

        if (got > 0)
            return 0;
        if (got == 0)
            return error_set(err, ERR_UNAVAILABLE, "the launcher did not answer in time");
        if (errno != EINTR)
            return error_set_errno(err, errno, "cannot wait for the launcher");
    }
}

static int receive(int fd, uint16_t op, struct answer *ret_answer, struct error *err)
{
    const struct launcher_reply *reply = &ret_answer->reply;
    ssize_t got = recv(fd, ret_answer, sizeof(*ret_answer), MSG_DONTWAIT);

    if (got <= 0)
        return error_set(err, ERR_UNAVAILABLE, "the launcher closed the connection");
    if ((size_t)got < sizeof(*reply) || reply->magic != LAUNCHER_MAGIC ||
        reply->version != LAUNCHER_VERSION || reply->count > LAUNCHER_LIST_PAGE ||
        (size_t)got != sizeof(*reply) + reply->count * sizeof(struct launcher_entry) ||
        (reply->status != EPROTO && reply->op != op) ||
        !memchr(reply->detail, '\0', sizeof(reply->detail)))
        return error_set(err, ERR_INTERNAL, "the launcher's answer is malformed");
    return 0;
}

static int exchange(struct launcher_client *client, const struct launcher_request *request,
                    struct answer *ret_answer, struct error *err)
{
    int64_t deadline = monotonic_usec() + (int64_t)client->timeout_ms * 1000;
    _cleanup_close_ int fd = -1;

    memset(&ret_answer->reply, 0, sizeof(ret_answer->reply));
    if (take_connection(client, &fd, err) < 0)
        return -1;
    if (send(fd, request, sizeof(*request), MSG_NOSIGNAL) != (ssize_t)sizeof(*request))
        return error_set(err, ERR_UNAVAILABLE, "cannot write to the launcher: %s",
                         strerrordesc_np(errno));
    if (wait_readable(fd, deadline, err) < 0 || receive(fd, request->op, ret_answer, err) < 0)
        return -1;
    put_idle(client, TAKE_FD(fd));
    return 0;
}

static const struct {
    int status;
    enum error_code code;
} status_codes[] = {
    {ENOENT, ERR_RUNTIME_MISSING},   {ESRCH, ERR_NOT_FOUND},
    {EEXIST, ERR_CONFLICT},          {EBUSY, ERR_CONFLICT},
    {EOPNOTSUPP, ERR_NOT_SUPPORTED}, {ECANCELED, ERR_CONFLICT},
    {EAGAIN, ERR_TOO_MANY},          {ENOSPC, ERR_INSUFFICIENT_STORAGE},
    {ETIMEDOUT, ERR_UNAVAILABLE},
};

static int status_error(const struct launcher_reply *reply, const char *op, struct error *err)
{
    enum error_code code = ERR_INTERNAL;
    const char *reason = strerrordesc_np(reply->status);

    for (size_t i = 0; i < ARRAY_SIZE(status_codes); i++)
        if (status_codes[i].status == reply->status)
            code = status_codes[i].code;
    return error_set(err, code, "launcher: %s: %s", op,
                     reply->detail[0] ? reply->detail : (reason ? reason : "unknown error"));
}

/* One request, one successful answer. */
static int call(struct launcher_client *client, const struct launcher_request *request,
                struct answer *ret_answer, struct error *err)
{
    static const char *const names[] = {
#define OP_NAME(symbol, value, name, meaning) [symbol] = (name),
        LAUNCHER_OPS(OP_NAME)
#undef OP_NAME
    };

    if (exchange(client, request, ret_answer, err) < 0)
        return -1;
    if (ret_answer->reply.status != 0)
        return status_error(&ret_answer->reply, names[request->op], err);
    return 0;
}

static struct launcher_request request_of(uint16_t op, const struct id *id, uint32_t generation)
{
    struct launcher_request request;

    /* memset: padding and reserved fields cross the wire too. */
    memset(&request, 0, sizeof(request));
    request.magic = LAUNCHER_MAGIC;
    request.version = LAUNCHER_VERSION;
    request.op = op;
    if (id)
        request.id = *id;
    request.generation = generation;
    return request;
}

int launcher_client_create(struct launcher_client *client, const struct launcher_request *request,
                           struct launcher_timings *ret_timings, struct error *err)
{
    struct launcher_request whole = *request;
    struct answer answer;

    whole.magic = LAUNCHER_MAGIC;
    whole.version = LAUNCHER_VERSION;
    whole.op = LAUNCHER_OP_CREATE;
    if (call(client, &whole, &answer, err) < 0)
        return -1;
    if (ret_timings)
        *ret_timings = answer.reply.timings;
    return 0;
}

static int destroy(struct launcher_client *client, const struct launcher_request *request,
                   struct launcher_usage *ret_usage, struct error *err)
{
    struct answer answer;

    if (call(client, request, &answer, err) < 0)
        return -1;
    if (ret_usage)
        *ret_usage = answer.reply.usage;
    return 0;
}

int launcher_client_destroy(struct launcher_client *client, const struct id *id,
                            uint32_t generation, struct launcher_usage *ret_usage,
                            struct error *err)
{
    struct launcher_request request = request_of(LAUNCHER_OP_DESTROY, id, generation);

    return destroy(client, &request, ret_usage, err);
}

int launcher_client_destroy_early(struct launcher_client *client, const struct id *id,
                                  uint32_t generation, struct launcher_usage *ret_usage,
                                  struct error *err)
{
    struct launcher_request request = request_of(LAUNCHER_OP_DESTROY, id, generation);

    request.early = 1;
    return destroy(client, &request, ret_usage, err);
}

int launcher_client_destroy_with_disk(struct launcher_client *client, const struct id *id,
                                      struct error *err)
{
    struct launcher_request request = request_of(LAUNCHER_OP_DESTROY, id, 0);

    request.remove_disk = 1;
    return destroy(client, &request, NULL, err);
}

int launcher_client_remove_disk(struct launcher_client *client, const struct id *id,
                                struct error *err)
{
    struct launcher_request request = request_of(LAUNCHER_OP_REMOVE, id, 0);
    struct answer answer;

    return call(client, &request, &answer, err);
}

int launcher_client_remove_logs(struct launcher_client *client, const struct id *id,
                                uint32_t generation, struct error *err)
{
    struct launcher_request request = request_of(LAUNCHER_OP_REMOVE_LOGS, id, generation);
    struct answer answer;

    return call(client, &request, &answer, err);
}

int launcher_client_freeze(struct launcher_client *client, const struct id *id, uint32_t generation,
                           struct error *err)
{
    struct launcher_request request = request_of(LAUNCHER_OP_FREEZE, id, generation);
    struct answer answer;

    return call(client, &request, &answer, err);
}

int launcher_client_thaw(struct launcher_client *client, const struct id *id, uint32_t generation,
                         struct error *err)
{
    struct launcher_request request = request_of(LAUNCHER_OP_THAW, id, generation);
    struct answer answer;

    return call(client, &request, &answer, err);
}

/* All pages of an op that lists. */
static int list_all(struct launcher_client *client, enum launcher_op op,
                    struct launcher_entry **ret_entries, size_t *ret_count, struct error *err)
{
    struct launcher_request request = request_of((uint16_t)op, NULL, 0);
    _cleanup_free_ struct launcher_entry *entries = NULL;
    size_t count = 0;

    do {
        struct launcher_entry *larger;
        struct answer answer;

        if (call(client, &request, &answer, err) < 0)
            return -1;
        if (answer.reply.count > 0) {
            larger = realloc(entries, (count + answer.reply.count) * sizeof(*entries));
            if (!larger)
                return error_set_errno(err, ENOMEM, "cannot keep the launcher's list");
            entries = larger;
            memcpy(entries + count, answer.entries, answer.reply.count * sizeof(*entries));
            count += answer.reply.count;
        }
        if (answer.reply.next_cursor != 0 && answer.reply.next_cursor <= request.cursor)
            return error_set(err, ERR_INTERNAL, "the launcher's pages do not end");
        request.cursor = answer.reply.next_cursor;
    } while (request.cursor != 0 && count < ENTRIES_MAX);
    *ret_entries = TAKE_PTR(entries);
    *ret_count = count;
    return 0;
}

int launcher_client_list(struct launcher_client *client, struct launcher_entry **ret_entries,
                         size_t *ret_count, struct error *err)
{
    return list_all(client, LAUNCHER_OP_LIST, ret_entries, ret_count, err);
}

int launcher_client_disks(struct launcher_client *client, struct id **ret_ids, size_t *ret_count,
                          struct error *err)
{
    _cleanup_free_ struct launcher_entry *entries = NULL;
    struct id *ids = NULL;
    size_t count = 0;

    if (list_all(client, LAUNCHER_OP_DISKS, &entries, &count, err) < 0)
        return -1;
    if (count > 0) {
        ids = calloc(count, sizeof(*ids));
        if (!ids)
            return error_set_errno(err, ENOMEM, "cannot keep the launcher's list");
    }
    for (size_t i = 0; i < count; i++)
        ids[i] = entries[i].id;
    *ret_ids = ids;
    *ret_count = count;
    return 0;
}

int launcher_client_features(struct launcher_client *client, uint64_t *ret_features,
                             struct error *err)
{
    struct launcher_request request = request_of(LAUNCHER_OP_FEATURES, NULL, 0);
    struct answer answer;

    if (call(client, &request, &answer, err) < 0)
        return -1;
    *ret_features = answer.reply.features;
    return 0;
}

void launcher_client_agent_path(const struct launcher_client *client, const struct id *id,
                                uint32_t generation, char path[static LAUNCHER_CLIENT_PATH_SIZE])
{
    char digits[ID_TEXT_SIZE];

    id_format(id, digits);
    (void)snprintf(path, LAUNCHER_CLIENT_PATH_SIZE,
                   "%s/" LAUNCHER_SANDBOXES_DIR "/%s.%u/" LAUNCHER_AGENT_SOCKET, client->run_dir,
                   digits, generation);
}

int launcher_client_connect_agent(const struct launcher_client *client, const struct id *id,
                                  uint32_t generation, int64_t deadline_usec,
                                  struct agent_client **ret_agent, struct error *err)
{
    char path[LAUNCHER_CLIENT_PATH_SIZE];

    launcher_client_agent_path(client, id, generation, path);
    return agent_client_connect(path, deadline_usec, ret_agent, err);
}
