#include "server/services/attach_socket.h"

#include "lib/base/util.h"
#include "lib/runtime/agent_control.h"
#include "lib/runtime/launcher_client.h"
#include "server/services/process_agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    ARRIVING_MAX = 8 * 1024, /* of input: with more than this nothing further is received */
    COMMANDS_MAX = 64,       /* signals and sizes that wait */
    PIECES_A_STEP = 4,
    BEATS_MAX = 3, /* that may go unanswered */
};

/* Bytes for the process's stdin. */
struct input {
    char *data;
    size_t size;
};

struct attach_socket {
    struct services *services;
    struct stream *stream; /* the WebSocket has a reference */
    struct websocket *websocket;
    attach_parse parse;
    attach_complain complain;
    struct id sandbox;
    uint32_t generation;
    struct id process;
    int epoll;
    void *watch_data;
    bool is_detached; /* the process has ended */

    struct agent_control *input; /* NULL: the process takes none */
    struct input arriving;
    struct input sending; /* of the operation under way */
    bool ends_input;      /* after what is arriving */
    bool was_refused;     /* input: the client knows */
    bool is_last_input;   /* the operation under way closes stdin */

    struct agent_control *control; /* for commands, while there are any */
    struct attach_command commands[COMMANDS_MAX];
    size_t command_count;

    unsigned beats; /* since the client was heard last */
};

/* --- what the client hears of his mistakes */

static void complain(struct attach_socket *socket, const struct error *err)
{
    size_t size;
    _cleanup_free_ char *text = socket->complain(err, &size);

    if (text)
        websocket_send(socket->websocket, WEBSOCKET_TEXT, text, size);
}

/* --- input */

static void drop_input(struct input *input)
{
    free(input->data);
    *input = (struct input){.data = NULL};
}

static void end_input(struct attach_socket *socket)
{
    agent_control_free(socket->input);
    socket->input = NULL;
    socket->ends_input = socket->is_last_input = false;
    drop_input(&socket->arriving);
    drop_input(&socket->sending);
}

/* Said once: the next pieces would be told the same. */
static void refuse_input(struct attach_socket *socket)
{
    struct error err;

    (void)error_set(&err, ERR_CONFLICT, "the process has no stdin (any more)");
    if (!socket->was_refused)
        complain(socket, &err);
    socket->was_refused = true;
}

static void take_binary(void *user, const void *data, size_t size)
{
    struct attach_socket *socket = user;
    struct input *arriving = &socket->arriving;
    char *larger;

    if (!socket->input || socket->ends_input) {
        refuse_input(socket);
        return;
    }
    larger = realloc(arriving->data, arriving->size + size);
    if (!larger) {
        websocket_close(socket->websocket, WEBSOCKET_FAILED, "there is no memory for the input");
        return;
    }
    memcpy(larger + arriving->size, data, size);
    arriving->data = larger;
    arriving->size += size;
}

/* Hands what has arrived to the agent, once it is done with what came before. */
static void begin_input(struct attach_socket *socket)
{
    if (!socket->input || agent_control_is_busy(socket->input) ||
        (socket->arriving.size == 0 && !socket->ends_input))
        return;
    drop_input(&socket->sending);
    socket->sending = socket->arriving;
    socket->arriving = (struct input){.data = NULL};
    socket->is_last_input = socket->ends_input;
    agent_control_input(socket->input, socket->sending.data, socket->sending.size,
                        socket->ends_input);
}

static void step_input(struct attach_socket *socket)
{
    struct error err;
    int done = 1;

    for (;;) {
        begin_input(socket);
        if (!socket->input || !agent_control_is_busy(socket->input))
            return;
        done = agent_control_step(socket->input, &err);
        if (done == 0)
            return;
        if (done < 0)
            complain(socket, &err);
        if (done < 0 || socket->is_last_input) {
            end_input(socket);
            return;
        }
    }
}

/* --- commands */

static void take_text(void *user, const char *text, size_t size)
{
    struct attach_socket *socket = user;
    struct attach_command command;
    struct error err;

    if (socket->parse(text, size, &command, &err) < 0) {
        complain(socket, &err);
    } else if (socket->is_detached) {
        (void)error_set(&err, ERR_CONFLICT, "the process does not run");
        complain(socket, &err);
    } else if (command.kind == ATTACH_CLOSE_STDIN) {
        socket->ends_input = socket->input != NULL;
    } else if (socket->command_count == COMMANDS_MAX) {
        (void)error_set(&err, ERR_TOO_MANY, "%d messages wait already", COMMANDS_MAX);
        complain(socket, &err);
    } else {
        socket->commands[socket->command_count++] = command;
    }
}

static void watch(struct attach_socket *socket, const struct agent_control *control)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                .data.ptr = socket->watch_data};

    /* Without it nobody would hear the agent's answer. */
    if (epoll_ctl(socket->epoll, EPOLL_CTL_ADD, agent_control_fd(control), &event) < 0)
        websocket_close(socket->websocket, WEBSOCKET_FAILED, "the process cannot be watched");
}

static int open_control(struct attach_socket *socket, int64_t timeout_usec,
                        struct agent_control **ret_control, struct error *err)
{
    struct agent_client *client;

    if (launcher_client_connect_agent(socket->services->launcher, &socket->sandbox,
                                      socket->generation, monotonic_usec() + timeout_usec, &client,
                                      err) < 0)
        return -1;
    return agent_control_open(client, &socket->process, ret_control, err);
}

static void begin_command(const struct attach_command *command, struct agent_control *control)
{
    if (command->kind == ATTACH_RESIZE)
        agent_control_resize(control, command->rows, command->columns);
    else
        agent_control_signal(control, command->signum, command->target, false);
}

static int next_command(struct attach_socket *socket, struct error *err)
{
    if (!socket->control) {
        /* Not waited for: the other streams have this thread too, and an agent whose backlog is
         * full stands still. */
        if (open_control(socket, 0, &socket->control, err) < 0)
            return -1;
        watch(socket, socket->control);
    }
    begin_command(&socket->commands[0], socket->control);
    return 0;
}

static void drop_command(struct attach_socket *socket)
{
    socket->command_count--;
    memmove(socket->commands, socket->commands + 1,
            socket->command_count * sizeof(socket->commands[0]));
}

static void end_control(struct attach_socket *socket)
{
    agent_control_free(socket->control);
    socket->control = NULL;
}

/* One that fails takes its connection along, and the others have a new one: nothing else would wake
 * the thread for them. */
static void step_commands(struct attach_socket *socket)
{
    struct error err;

    while (socket->command_count > 0) {
        bool begun = socket->control && agent_control_is_busy(socket->control);
        int done = begun || next_command(socket, &err) == 0
                       ? agent_control_step(socket->control, &err)
                       : -1;

        if (done == 0)
            return;
        if (done < 0) {
            complain(socket, &err);
            end_control(socket);
        }
        drop_command(socket);
    }
    /* Connections to the agent are few: 256. */
    end_control(socket);
}

/* --- the socket */

int attach_socket_open(struct services *services, const struct process_info *info,
                       const struct attach_options *options, struct stream *stream,
                       struct attach_socket **ret_socket, struct error *err)
{
    static const struct websocket_handler handler = {.on_text = take_text,
                                                     .on_binary = take_binary};
    struct attach_socket *socket = calloc(1, sizeof(*socket));

    if (!socket)
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a WebSocket");
    socket->services = services;
    socket->stream = stream;
    socket->parse = options->parse;
    socket->complain = options->complain;
    socket->sandbox = info->row.sandbox;
    socket->generation = info->row.generation;
    socket->process = info->row.id;
    socket->epoll = -1;
    socket->is_detached = !info->is_live;
    if (websocket_new(stream, &handler, socket, &socket->websocket, err) < 0 ||
        (info->is_live && info->live.input &&
         open_control(socket, PROCESS_AGENT_MS * INT64_C(1000), &socket->input, err) < 0)) {
        attach_socket_free(socket);
        return -1;
    }
    *ret_socket = socket;
    return 0;
}

void attach_socket_free(struct attach_socket *socket)
{
    if (!socket)
        return;
    attach_socket_detach(socket);
    websocket_free(socket->websocket);
    free(socket);
}

void attach_socket_watch(struct attach_socket *socket, int epoll, void *data)
{
    socket->epoll = epoll;
    socket->watch_data = data;
    if (socket->input)
        watch(socket, socket->input);
}

void attach_socket_detach(struct attach_socket *socket)
{
    socket->is_detached = true;
    socket->command_count = 0;
    end_input(socket);
    end_control(socket);
}

static bool may_receive(const struct attach_socket *socket)
{
    return socket->arriving.size < ARRIVING_MAX && !socket->ends_input &&
           !websocket_is_closing(socket->websocket);
}

static bool receive_piece(struct attach_socket *socket)
{
    if (!may_receive(socket) || !websocket_flush(socket->websocket) ||
        !websocket_receive(socket->websocket))
        return false;
    socket->beats = 0;
    return true;
}

bool attach_socket_step(struct attach_socket *socket)
{
    int pieces = 0;

    do {
        step_input(socket);
        step_commands(socket);
    } while (pieces++ < PIECES_A_STEP && receive_piece(socket));
    return may_receive(socket) && stream_has_received(socket->stream);
}

void attach_socket_send(struct attach_socket *socket, enum attach_part_kind kind, const char *part,
                        size_t size)
{
    websocket_send(socket->websocket, kind == ATTACH_OUTPUT ? WEBSOCKET_BINARY : WEBSOCKET_TEXT,
                   part, size);
}

bool attach_socket_flush(struct attach_socket *socket)
{
    return websocket_flush(socket->websocket);
}

void attach_socket_close(struct attach_socket *socket, enum websocket_code code, const char *reason)
{
    websocket_close(socket->websocket, code, reason);
}

bool attach_socket_is_closing(const struct attach_socket *socket)
{
    return websocket_is_closing(socket->websocket);
}

/* While his input waits for the process, his answers wait behind it. */
bool attach_socket_beat(struct attach_socket *socket)
{
    if (!may_receive(socket) || !websocket_flush(socket->websocket))
        return true;
    if (socket->beats == BEATS_MAX)
        return false;
    socket->beats++;
    websocket_ping(socket->websocket);
    return true;
}
