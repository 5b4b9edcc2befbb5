#include "agent/peer.h"

#include "agent/clock.h"
#include "agent/exec_op.h"
#include "agent/failure.h"
#include "agent/file_op.h"
#include "agent/file_search.h"
#include "agent/file_task.h"
#include "agent/file_watch.h"
#include "agent/outbox.h"
#include "agent/process_op.h"
#include "agent/stop.h"
#include "lib/agentproto/inbox.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Rounds of one peer before the others have theirs: about 1 MB of output. */
enum { TURN_ROUNDS = 16 };

struct peer {
    int fd; /* -1: gone; the peer stays until its command is dead */
    uint32_t index;
    bool readable;
    bool writable;
    bool hung_up;
    bool holds_stop;     /* it asked for a stop, which ends with it */
    bool ended;          /* sends no more, but may still receive */
    const uint8_t *body; /* stdin that the command has not taken yet, in the inbox */
    size_t body_left;
    uint32_t successes; /* operations in a row that did not fail */
    struct exec_op exec;
    struct process_op process;
    struct file_write write;
    struct file_read read;
    struct file_task files;
    struct file_watch watch;
    struct file_search search;
    struct outbox outbox;
    struct agent_inbox inbox;
};

static struct peer *peers[AGENT_PEERS_MAX];
static unsigned peer_count;
static volatile struct spawn_report *reports; /* one for each peer, shared with children */

int peers_init(void)
{
    void *memory = mmap(NULL, AGENT_PEERS_MAX * sizeof(*reports), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return errno;
    reports = memory;
    return 0;
}

bool peers_full(void)
{
    return peer_count == AGENT_PEERS_MAX;
}

static struct peer *peer_create(int fd, uint32_t index)
{
    struct peer *peer = mmap(NULL, sizeof(*peer), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (peer == MAP_FAILED)
        return NULL;
    peer->fd = fd;
    peer->index = index;
    peer->readable = true;
    peer->writable = true;
    return peer;
}

void peers_accept(int listen_fd)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    uint32_t index = 0;

    if (fd < 0)
        return;
    while (index < AGENT_PEERS_MAX && peers[index])
        index++;
    if (index < AGENT_PEERS_MAX)
        peers[index] = peer_create(fd, index);
    if (index == AGENT_PEERS_MAX || !peers[index] ||
        poller_add(fd, POLLER_SOCKET, index, EPOLLIN | EPOLLOUT | EPOLLET) != 0) {
        if (index < AGENT_PEERS_MAX && peers[index])
            (void)munmap(peers[index], sizeof(struct peer));
        if (index < AGENT_PEERS_MAX)
            peers[index] = NULL;
        close(fd);
        return;
    }
    peer_count++;
}

static void peer_destroy(struct peer *peer)
{
    peers[peer->index] = NULL;
    peer_count--;
    (void)munmap(peer, sizeof(*peer));
}

void peers_event(const struct poller_event *event)
{
    struct peer *peer = peers[event->index];

    if (!peer)
        return;
    switch (event->source) {
    case POLLER_SOCKET:
        peer->readable |= (event->events & EPOLLIN) != 0;
        peer->writable |= (event->events & EPOLLOUT) != 0;
        peer->hung_up |= (event->events & (EPOLLHUP | EPOLLERR)) != 0;
        break;
    case POLLER_WATCH:
        file_watch_event(&peer->watch);
        break;
    default:
        command_event(&peer->exec.command, event->source);
        break;
    }
}

void peers_child_exited(pid_t pid, int status, const struct rusage *usage)
{
    for (uint32_t i = 0; i < AGENT_PEERS_MAX; i++) {
        struct command *command = peers[i] ? &peers[i]->exec.command : NULL;

        if (!command || !command->active)
            continue;
        if (command->pid == pid)
            command_exited(command, status, usage);
        else
            command_child_died(command);
    }
}

/* Ends the connection and all that hangs on it. */
static void peer_lose(struct peer *peer)
{
    if (peer->fd < 0)
        return;
    /* A child between fork and exec may hold a copy, which would keep the socket watched. */
    poller_remove(peer->fd);
    /* First: who sees the connection's end finds no half of a file. */
    file_write_abort(&peer->write);
    file_read_abort(&peer->read);
    file_task_abort(&peer->files);
    file_watch_abort(&peer->watch);
    file_search_abort(&peer->search);
    process_op_abandon(&peer->process);
    if (peer->holds_stop)
        stop_release();
    peer->holds_stop = false;
    close(peer->fd);
    peer->fd = -1;
    peer->body_left = 0;
    command_abandon(&peer->exec.command);
}

/* Stays at its largest value rather than start again. */
static void count_success(struct peer *peer)
{
    if (peer->successes < UINT32_MAX)
        peer->successes++;
}

static void reply_done(struct peer *peer, uint64_t value)
{
    size_t size;
    uint8_t *space = outbox_space(&peer->outbox, OUTBOX_CONTROL_MAX, &size);

    count_success(peer);
    outbox_commit(&peer->outbox, AGENT_FRAME_DONE, agent_done_encode(value, space, size));
}

static void reply_error(struct peer *peer, const struct agent_error_message *error)
{
    size_t size;
    uint8_t *space = outbox_space(&peer->outbox, OUTBOX_CONTROL_MAX, &size);

    peer->successes = 0;
    outbox_commit(&peer->outbox, AGENT_FRAME_ERROR, agent_error_encode(error, space, size));
}

/* Answers an operation that is over. */
static void reply(struct peer *peer, bool succeeded, uint64_t value,
                  const struct agent_error_message *error)
{
    if (succeeded)
        reply_done(peer, value);
    else
        reply_error(peer, error);
}

static void on_exec(struct peer *peer, struct agent_exec_message *message)
{
    struct agent_error_message error = {
        .stage = AGENT_STAGE_REQUEST,
        .errnum = ECANCELED,
    };

    if (stop_begun())
        error.stage = AGENT_STAGE_STOPPING;
    if (stop_begun() || message->after > peer->successes ||
        !exec_start(&peer->exec, message, peer->index, &reports[peer->index], &error))
        reply_error(peer, &error);
}

static void on_read(struct peer *peer, const struct agent_read_message *message)
{
    struct agent_error_message error;

    if (!file_read_begin(&peer->read, message, &error))
        reply_error(peer, &error);
}

static void on_file(struct peer *peer, const struct agent_file_message *message)
{
    struct agent_error_message error;

    if (message->type != AGENT_FRAME_WATCH)
        file_task_begin(&peer->files, message, &peer->outbox);
    else if (!file_watch_begin(&peer->watch, message, peer->index, &error))
        reply_error(peer, &error);
}

static void on_search(struct peer *peer, const struct agent_search_message *message)
{
    struct agent_error_message error;

    if (!file_search_begin(&peer->search, message, &error))
        reply_error(peer, &error);
}

static void on_data(struct peer *peer, const uint8_t *bytes, size_t size)
{
    if (peer->write.active) {
        file_write_data(&peer->write, bytes, size);
        return;
    }
    peer->body = bytes;
    peer->body_left = size;
}

static void on_end(struct peer *peer)
{
    struct agent_error_message error;

    if (peer->process.kind == PROCESS_OP_INPUT)
        reply(peer, process_op_input_end(&peer->process, &error), peer->process.count, &error);
    else if (peer->write.active)
        reply(peer, file_write_end(&peer->write, &peer->outbox, &error), peer->write.written,
              &error);
    else
        command_close_stdin(&peer->exec.command);
}

static void on_start(struct peer *peer, struct agent_start_message *message)
{
    struct agent_error_message error;

    if (!process_op_start(&peer->process, message, &error))
        reply_error(peer, &error);
}

static void on_wait(struct peer *peer, const struct agent_wait_message *message)
{
    struct agent_error_message error;

    if (!process_op_wait(&peer->process, message, &error))
        reply_error(peer, &error);
}

/* A second stop of one connection may come with a shorter grace. */
static void on_stop(struct peer *peer, uint32_t grace_ms)
{
    if (peer->holds_stop)
        stop_release();
    peer->holds_stop = true;
    stop_begin(grace_ms);
    process_op_stop(&peer->process);
}

static void on_attach(struct peer *peer, const struct agent_attach_message *message)
{
    struct agent_error_message error;

    if (!process_op_attach(&peer->process, message, &error))
        reply_error(peer, &error);
}

/* The overlay answers for its upper layer; where it has none, nothing can be written. */
static void on_disk(struct peer *peer)
{
    struct agent_error_message error;
    struct statvfs disk;

    if (statvfs("/", &disk) < 0) {
        (void)agent_failed(&error, AGENT_STAGE_FILE, errno);
        reply_error(peer, &error);
    } else {
        reply_done(peer, disk.f_flag & ST_RDONLY
                             ? 0
                             : (uint64_t)(disk.f_blocks - disk.f_bfree) * disk.f_frsize);
    }
}

static void on_short_request(struct peer *peer, enum agent_event event,
                             const struct agent_event_data *data)
{
    struct agent_error_message error;

    switch (event) {
    case AGENT_EVENT_SIGNAL:
        reply(peer, process_op_signal(&data->signal, &error), 0, &error);
        break;
    case AGENT_EVENT_RESIZE:
        reply(peer, process_op_resize(&data->resize, &error), 0, &error);
        break;
    case AGENT_EVENT_FORGET:
        reply(peer, process_op_forget(&data->forget, &error), 0, &error);
        break;
    default:
        break;
    }
}

static void on_event(struct peer *peer, enum agent_event event, struct agent_event_data *data)
{
    switch (event) {
    case AGENT_EVENT_PING:
        reply_done(peer, AGENT_PROTO_VERSION);
        break;
    case AGENT_EVENT_EXEC:
        on_exec(peer, &data->exec);
        break;
    case AGENT_EVENT_WRITE:
        file_write_begin(&peer->write, &data->write);
        break;
    case AGENT_EVENT_READ:
        on_read(peer, &data->read);
        break;
    case AGENT_EVENT_FILE:
        on_file(peer, &data->file);
        break;
    case AGENT_EVENT_SEARCH:
        on_search(peer, &data->search);
        break;
    case AGENT_EVENT_DATA:
        on_data(peer, data->data.bytes, data->data.size);
        break;
    case AGENT_EVENT_END:
        on_end(peer);
        break;
    case AGENT_EVENT_BROKEN:
        peer_lose(peer);
        break;
    case AGENT_EVENT_START:
        on_start(peer, &data->start);
        break;
    case AGENT_EVENT_LIST:
        process_op_list(&peer->process);
        break;
    case AGENT_EVENT_STOP:
        on_stop(peer, data->stop.grace_ms);
        break;
    case AGENT_EVENT_WAIT:
        on_wait(peer, &data->wait);
        break;
    case AGENT_EVENT_ATTACH:
        on_attach(peer, &data->attach);
        break;
    case AGENT_EVENT_INPUT:
        process_op_input(&peer->process, &data->input);
        break;
    case AGENT_EVENT_DISK:
        on_disk(peer);
        break;
    default:
        on_short_request(peer, event, data);
        break;
    }
}

static bool feed_body(struct peer *peer)
{
    size_t taken = peer->process.kind == PROCESS_OP_INPUT
                       ? process_op_feed(&peer->process, peer->body, peer->body_left)
                       : command_feed(&peer->exec.command, peer->body, peer->body_left);

    peer->body += taken;
    peer->body_left -= taken;
    return taken > 0;
}

/* True while an operation runs that the next one has to wait for. */
static bool peer_busy(const struct peer *peer)
{
    return peer->exec.command.active || peer->read.active || file_task_busy(&peer->files) ||
           peer->watch.state || peer->search.state || process_op_busy(&peer->process);
}

/* Acts on the next event of the inbox, once the operation before it is over. */
static bool peer_consume(struct peer *peer)
{
    struct agent_event_data data;
    enum agent_event event;
    size_t room;

    if (peer->body_left > 0)
        return feed_body(peer);
    if (peer->inbox.state != AGENT_INBOX_BODY && peer_busy(peer))
        return false;
    if (!outbox_space(&peer->outbox, AGENT_ENTRY_MAX, &room))
        return false;
    event = agent_inbox_next(&peer->inbox, &data);
    on_event(peer, event, &data);
    return event != AGENT_EVENT_NONE;
}

static bool peer_receive(struct peer *peer)
{
    uint8_t *space;
    size_t size;
    ssize_t got;

    /* The body is a view of the buffer, which must not move under it. */
    if (!peer->readable || peer->body_left > 0 || peer->fd < 0)
        return false;
    space = agent_buffer_space(&peer->inbox.buffer, &size);
    if (size == 0)
        return false;
    got = recv(peer->fd, space, size, MSG_DONTWAIT);
    if (got <= 0) {
        peer->readable = false;
        if (got == 0)
            peer->ended = true;
        else if (errno != EAGAIN)
            peer_lose(peer);
        return false;
    }
    if ((size_t)got < size)
        peer->readable = false; /* more to come is a new edge */
    agent_buffer_filled(&peer->inbox.buffer, (size_t)got);
    return true;
}

static bool peer_flush(struct peer *peer)
{
    int errnum;

    if (!peer->writable || outbox_is_empty(&peer->outbox))
        return false;
    errnum = outbox_flush(&peer->outbox, peer->fd);
    if (errnum == EAGAIN)
        peer->writable = false;
    else if (errnum != 0)
        peer_lose(peer);
    return errnum == 0;
}

static bool peer_complete(struct peer *peer)
{
    size_t room;

    if (!peer->exec.command.active || !outbox_space(&peer->outbox, OUTBOX_CONTROL_MAX, &room) ||
        !command_settled(&peer->exec.command))
        return false;
    if (exec_finish(&peer->exec, &peer->outbox))
        count_success(peer);
    else
        peer->successes = 0;
    return true;
}

static bool peer_read_on(struct peer *peer)
{
    switch (file_read_pump(&peer->read, &peer->outbox)) {
    case FILE_READ_WAITS:
        return false;
    case FILE_READ_MOVED:
        break;
    case FILE_READ_DONE:
        count_success(peer);
        break;
    case FILE_READ_FAILED:
        peer->successes = 0;
        break;
    }
    return true;
}

static bool peer_files_on(struct peer *peer)
{
    struct agent_error_message error;

    switch (file_task_pump(&peer->files, &peer->outbox, &error)) {
    case FILE_TASK_WAITS:
        return false;
    case FILE_TASK_MOVED:
        break;
    case FILE_TASK_DONE:
        reply_done(peer, peer->files.count);
        break;
    case FILE_TASK_FAILED:
        reply_error(peer, &error);
        break;
    }
    return true;
}

static bool peer_watch_on(struct peer *peer)
{
    switch (file_watch_pump(&peer->watch, &peer->outbox)) {
    case FILE_WATCH_WAITS:
        return false;
    case FILE_WATCH_MOVED:
        break;
    case FILE_WATCH_DONE:
        reply_done(peer, 0);
        break;
    }
    return true;
}

static bool peer_search_on(struct peer *peer)
{
    switch (file_search_pump(&peer->search, &peer->outbox)) {
    case FILE_SEARCH_WAITS:
        return false;
    case FILE_SEARCH_MOVED:
        break;
    case FILE_SEARCH_DONE:
        count_success(peer);
        break;
    }
    return true;
}

static bool peer_process_on(struct peer *peer)
{
    struct agent_error_message error;

    switch (process_op_pump(&peer->process, &peer->outbox, &error)) {
    case PROCESS_OP_WAITS:
        return false;
    case PROCESS_OP_MOVED:
        break;
    case PROCESS_OP_DONE:
        count_success(peer);
        break;
    case PROCESS_OP_FAILED:
        reply_error(peer, &error);
        break;
    }
    return true;
}

/* One round; true when anything moved. */
static bool peer_round(struct peer *peer)
{
    bool moved = peer_flush(peer);

    if (peer->fd >= 0)
        moved |= exec_pump(&peer->exec, &peer->outbox);
    if (peer->fd >= 0)
        moved |= peer_read_on(peer);
    if (peer->fd >= 0)
        moved |= peer_files_on(peer);
    if (peer->fd >= 0)
        moved |= peer_watch_on(peer);
    if (peer->fd >= 0)
        moved |= peer_search_on(peer);
    if (peer->fd >= 0)
        moved |= peer_process_on(peer);
    if (peer->fd >= 0)
        moved |= peer_complete(peer);
    if (peer->fd >= 0)
        moved |= peer_consume(peer);
    return peer_receive(peer) || moved;
}

/* True when it used up its turn. Its memory may be gone afterwards. */
static bool peer_run(struct peer *peer)
{
    bool moved = true;

    if (peer->hung_up)
        peer_lose(peer);
    for (int round = 0; round < TURN_ROUNDS && moved && peer->fd >= 0; round++)
        moved = peer_round(peer);
    if (peer->ended && !moved && !peer_busy(peer) && outbox_is_empty(&peer->outbox))
        peer_lose(peer);
    if (peer->fd >= 0)
        return moved;
    if (peer->exec.command.active && command_settled(&peer->exec.command))
        command_end(&peer->exec.command);
    if (!peer->exec.command.active)
        peer_destroy(peer);
    return false;
}

/* Until when it has nothing to do without an event. */
static int64_t peer_deadline(const struct peer *peer)
{
    int64_t deadline = peer->exec.command.active ? peer->exec.command.deadline_usec : INT64_MAX;

    if (process_op_busy(&peer->process) && peer->process.deadline_usec < deadline)
        deadline = peer->process.deadline_usec;
    if (peer->watch.state && peer->watch.deadline_usec < deadline)
        deadline = peer->watch.deadline_usec;
    return deadline;
}

/* Of those who asked for a stop, or of the others. True when there is more to do at once. */
static bool run_those(bool who_stop, int64_t now, int64_t *inout_nearest)
{
    bool again = false;

    for (uint32_t i = 0; i < AGENT_PEERS_MAX; i++) {
        if (!peers[i] || peers[i]->holds_stop != who_stop)
            continue;
        command_expire(&peers[i]->exec.command, now);
        again |= peer_run(peers[i]);
        if (peers[i] && peer_deadline(peers[i]) < *inout_nearest)
            *inout_nearest = peer_deadline(peers[i]);
    }
    return again;
}

int peers_run(void)
{
    int64_t nearest = INT64_MAX;
    int64_t now = clock_usec();
    bool again = run_those(false, now, &nearest);

    stop_tell_last(again);
    again |= run_those(true, now, &nearest);
    return again ? 0 : clock_timeout_ms(nearest, now);
}
