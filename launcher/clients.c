#include "launcher/clients.h"

#include "launcher/loop.h"
#include "launcher/ops.h"
#include "launcher/request.h"
#include "launcher/steps.h"

#include <atoll/cleanup.h>
#include <atoll/log.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { CLIENTS_MAX = 256 };

struct client {
    struct source source;
    bool waiting; /* `request` has no answer yet */
    struct launcher_request request;
    struct launcher_usage usage; /* of the sandboxes that a destroy has ended so far */
    struct client *next;
};

static void client_drop(struct launcher *launcher, struct client *client)
{
    struct client **link = &launcher->clients;

    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    launcher->client_count--;
    loop_forget(launcher, &client->source);
    free(client);
}

static bool peer_allowed(const struct launcher *launcher, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == launcher->options.client_uid);
}

void clients_accept(struct launcher *launcher)
{
    _cleanup_close_ int fd =
        accept4(launcher->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN};
    struct client *client;

    if (fd < 0)
        return;
    if (!peer_allowed(launcher, fd)) {
        log_warn("refused a connection of a user that may not call the launcher");
        return;
    }
    if (launcher->client_count >= CLIENTS_MAX) {
        log_warn("refused a connection: %d are open", CLIENTS_MAX);
        return;
    }
    client = calloc(1, sizeof(*client));
    if (!client)
        return;
    event.data.ptr = &client->source;
    if (epoll_ctl(launcher->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        free(client);
        return;
    }
    client->source = (struct source){SOURCE_CLIENT, TAKE_FD(fd), NULL};
    client->next = launcher->clients;
    launcher->clients = client;
    launcher->client_count++;
}

/* A client that does not take its answer at once is broken: its socket's end says so later. */
static void client_send(struct client *client, struct launcher_answer *answer)
{
    struct launcher_reply *reply = &answer->reply;
    size_t size = sizeof(*reply) + reply->count * sizeof(answer->entries[0]);

    reply->magic = LAUNCHER_MAGIC;
    reply->version = LAUNCHER_VERSION;
    reply->op = client->request.op;
    (void)send(client->source.fd, answer, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    client->waiting = false;
}

static void client_answer(struct launcher *launcher, struct client *client)
{
    struct launcher_answer answer = {.reply = {.status = 0}};

    client->waiting = true;
    memset(&client->usage, 0, sizeof(client->usage));
    if (ops_run(launcher, &client->request, &answer) == OPS_ANSWERED)
        client_send(client, &answer);
}

static void client_refuse(struct client *client, int status, const char *field)
{
    struct launcher_answer answer = {.reply = {.status = status}};

    (void)snprintf(answer.reply.detail, sizeof(answer.reply.detail), "the field `%s` is refused",
                   field);
    client_send(client, &answer);
}

void clients_serve(struct launcher *launcher, struct source *source)
{
    struct client *client = (struct client *)source;
    unsigned char packet[sizeof(struct launcher_request) + 1];
    ssize_t got = recv(source->fd, packet, sizeof(packet), MSG_DONTWAIT);
    const char *field = "packet";
    int status;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* A second request before the first one's answer breaks the contract as well. */
    if (got <= 0 || client->waiting) {
        client_drop(launcher, client);
        return;
    }
    status = launcher_request_check(packet, (size_t)got, &client->request, &field);
    if (status == EPROTO) {
        client->request.op = 0;
        client_refuse(client, EPROTO, field);
        client_drop(launcher, client);
    } else if (status) {
        client_refuse(client, status, field);
    } else {
        client_answer(launcher, client);
    }
}

static bool waits_for(const struct client *client, uint16_t op, const struct sandbox *sandbox)
{
    const struct launcher_request *request = &client->request;

    return client->waiting && request->op == op && id_equal(&request->id, &sandbox->id) &&
           (request->generation == 0 || request->generation == sandbox->generation);
}

void clients_created(struct launcher *launcher, const struct sandbox *sandbox)
{
    for (struct client *client = launcher->clients; client; client = client->next) {
        struct launcher_answer answer = {.reply = {.status = sandbox->failure}};

        if (!waits_for(client, LAUNCHER_OP_CREATE, sandbox))
            continue;
        answer.reply.step = sandbox->failure_step;
        answer.reply.timings = sandbox->timings;
        if (sandbox->failure && sandbox->failure_step == STEP_NONE)
            (void)snprintf(answer.reply.detail, sizeof(answer.reply.detail),
                           "destroyed before it was ready");
        else if (sandbox->failure)
            (void)snprintf(answer.reply.detail, sizeof(answer.reply.detail), "cannot %s: %s",
                           create_step_text(sandbox->failure_step),
                           strerrordesc_np(sandbox->failure));
        client_send(client, &answer);
    }
}

bool clients_create_again(struct launcher *launcher, struct sandbox *sandbox)
{
    struct client *client = launcher->clients;

    while (client && !waits_for(client, LAUNCHER_OP_CREATE, sandbox))
        client = client->next;
    if (!client)
        return false;
    sandbox_table_remove(&launcher->table, sandbox);
    client_answer(launcher, client);
    return true;
}

static uint64_t usage_sum(uint64_t a, uint64_t b)
{
    return a == UINT64_MAX || b == UINT64_MAX ? UINT64_MAX : a + b;
}

static uint64_t usage_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Several generations of one id end as one: what they used adds up, peaks do not. */
static void usage_add(struct launcher_usage *total, const struct launcher_usage *one)
{
    total->cpu_usec = usage_sum(total->cpu_usec, one->cpu_usec);
    total->oom_kills = usage_sum(total->oom_kills, one->oom_kills);
    total->memory_peak_bytes = usage_max(total->memory_peak_bytes, one->memory_peak_bytes);
    total->pids_peak = usage_max(total->pids_peak, one->pids_peak);
}

void clients_destroyed(struct launcher *launcher, const struct sandbox *sandbox)
{
    for (struct client *client = launcher->clients; client; client = client->next) {
        struct launcher_answer answer = {.reply = {.status = 0}};

        if (!waits_for(client, LAUNCHER_OP_DESTROY, sandbox))
            continue;
        usage_add(&client->usage, &sandbox->usage);
        if (ops_destroy_pending(launcher, &client->request, sandbox))
            continue;
        answer.reply.usage = client->usage;
        client_send(client, &answer);
    }
}

void clients_frozen(struct launcher *launcher, const struct sandbox *sandbox, int status)
{
    for (struct client *client = launcher->clients; client; client = client->next) {
        struct launcher_answer answer = {.reply = {.status = status}};

        if (waits_for(client, LAUNCHER_OP_FREEZE, sandbox))
            client_send(client, &answer);
    }
}
