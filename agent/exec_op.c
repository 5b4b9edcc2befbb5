#include "agent/exec_op.h"

#include "agent/poller.h"
#include "agent/text.h"
#include "agent/tree.h"
#include "lib/agentproto/inbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum { DISCARD_SIZE = 16 * 1024, VARIABLE_MAX = 8 + ACCOUNT_HOME_MAX };

/* Both ends of the three pipes while a command is started: [stream][0 the command's, 1 ours]. */
struct pipes {
    int ends[3][2];
};

int64_t exec_clock_usec(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void pipes_close(struct pipes *pipes, int side)
{
    for (int i = 0; i < 3; i++)
        close_fd(&pipes->ends[i][side]);
}

/* Only our end must not block: the flag belongs to the open file, of which each end is one. */
static int pipe_open(struct pipes *pipes, int stream)
{
    int fds[2];
    int *ends = pipes->ends[stream];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return errno;
    ends[0] = stream == STDIN_FILENO ? fds[0] : fds[1];
    ends[1] = stream == STDIN_FILENO ? fds[1] : fds[0];
    return fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0 ? errno : 0;
}

static int pipes_open(struct pipes *pipes, bool with_stdin, uint32_t index)
{
    int errnum = 0;

    memset(pipes, -1, sizeof(*pipes));
    for (int i = with_stdin ? 0 : 1; i < 3 && errnum == 0; i++) {
        errnum = pipe_open(pipes, i);
        if (errnum == 0)
            errnum = poller_add(pipes->ends[i][1], POLLER_STDIN + (unsigned)i, index,
                                (i == 0 ? EPOLLOUT : EPOLLIN) | EPOLLET);
    }
    return errnum;
}

static bool has_variable(const struct agent_exec_message *message, const char *name)
{
    size_t length = strlen(name);

    for (uint32_t i = 0; i < message->envc; i++) {
        if (strncmp(message->env[i], name, length) == 0 && message->env[i][length] == '=')
            return true;
    }
    return false;
}

/* Adds NAME=value, made in the VARIABLE_MAX bytes of `text`, unless the client gave NAME or there
 * is no value. */
static void add_variable(struct agent_exec_message *message, char *text, const char *name,
                         const char *value)
{
    const char *const parts[] = {name, "=", value, NULL};

    if (*value != '\0' && !has_variable(message, name) && text_join(text, VARIABLE_MAX, parts))
        message->env[message->envc++] = text;
}

static void op_init(struct exec_op *op, const struct agent_exec_message *message,
                    const struct pipes *pipes)
{
    memset(op, 0, sizeof(*op));
    op->active = true;
    op->kill_leftovers = (message->flags & AGENT_EXEC_KILL_LEFTOVERS) != 0;
    op->stdin_ready = true;
    op->stdin_fd = pipes->ends[STDIN_FILENO][1];
    op->grace_ms = message->grace_ms;
    op->deadline_usec = INT64_MAX;
    if (message->timeout_ms > 0)
        op->deadline_usec = exec_clock_usec() + (int64_t)message->timeout_ms * 1000;
    for (int i = 0; i < EXEC_STREAMS; i++) {
        op->streams[i].fd = pipes->ends[STDOUT_FILENO + i][1];
        op->streams[i].left = message->max_output;
    }
}

/* Forks; the pipes' far ends are the caller's to close. */
static int start_process(struct exec_op *op, struct agent_exec_message *message,
                         const struct account *account, const struct pipes *pipes)
{
    char home[VARIABLE_MAX], user[VARIABLE_MAX];
    struct spawn_request request = {
        .argv = message->argv,
        .env = message->env,
        .cwd = message->cwd,
        .account = account,
        .fds = {pipes->ends[0][0], pipes->ends[1][0], pipes->ends[2][0]},
        .alone = tree_empty(),
    };
    int errnum;

    if (!has_variable(message, "PATH"))
        message->env[message->envc++] = DEFAULT_PATH;
    add_variable(message, home, "HOME", account->home);
    add_variable(message, user, "USER", account->name);
    message->env[message->envc] = NULL;
    op->started_usec = exec_clock_usec();
    request.mark = op->mark = tree_begin();
    errnum = spawn_process(&request, op->report, &op->pid);
    if (errnum != 0)
        tree_end();
    return errnum;
}

static bool fail(struct agent_error_message *ret_error, enum agent_stage stage, int errnum)
{
    ret_error->stage = stage;
    ret_error->errnum = (uint32_t)errnum;
    return false;
}

bool exec_start(struct exec_op *op, struct agent_exec_message *message, uint32_t index,
                volatile struct spawn_report *report, struct agent_error_message *ret_error)
{
    struct account account;
    struct pipes pipes;
    int errnum = account_resolve(message->user, &account);

    if (errnum != 0)
        return fail(ret_error, AGENT_STAGE_USER, errnum);
    errnum = pipes_open(&pipes, (message->flags & AGENT_EXEC_STDIN) != 0, index);
    if (errnum == 0) {
        op_init(op, message, &pipes);
        op->report = report;
        errnum = start_process(op, message, &account, &pipes);
    }
    pipes_close(&pipes, 0);
    if (errnum != 0) {
        pipes_close(&pipes, 1);
        op->active = false;
        return fail(ret_error, AGENT_STAGE_PROCESS, errnum);
    }
    return true;
}

size_t exec_feed(struct exec_op *op, const uint8_t *bytes, size_t size)
{
    ssize_t written;

    if (!op->active || op->stdin_fd < 0)
        return size;
    if (!op->stdin_ready)
        return 0;
    written = write(op->stdin_fd, bytes, size);
    if (written >= 0) {
        op->stdin_ready = (size_t)written == size;
        return (size_t)written;
    }
    if (errno == EAGAIN) {
        op->stdin_ready = false;
        return 0;
    }
    exec_close_stdin(op); /* EPIPE: nobody reads; the rest is dropped */
    return size;
}

void exec_close_stdin(struct exec_op *op)
{
    if (op->active)
        close_fd(&op->stdin_fd);
}

/* Where the next bytes of a stream go: the outbox, or nowhere once enough was kept. */
static uint8_t *stream_target(struct exec_stream *stream, struct outbox *outbox, size_t *ret_size)
{
    static uint8_t discard[DISCARD_SIZE];
    uint8_t *target = discard;
    size_t size = sizeof(discard);

    if (stream->left > 0) {
        target = outbox_space(outbox, OUTBOX_DATA_MIN, &size);
        if (!target)
            return NULL;
        if (size > stream->left)
            size = (size_t)stream->left;
    }
    *ret_size = size;
    return target;
}

static void stream_received(struct exec_stream *stream, struct outbox *outbox,
                            enum agent_frame_type type, size_t size)
{
    if (stream->left == 0) {
        stream->truncated = true;
        return;
    }
    outbox_commit(outbox, type, size);
    stream->left -= size;
}

static bool stream_pump(struct exec_stream *stream, bool exited, struct outbox *outbox,
                        enum agent_frame_type type)
{
    uint8_t *target;
    size_t size = 0;
    ssize_t got;

    if (stream->fd < 0 || !stream->ready)
        return false;
    target = stream_target(stream, outbox, &size);
    if (!target)
        return false;
    if (exited && size > stream->drain)
        size = (size_t)stream->drain;
    got = read(stream->fd, target, size);
    if (got <= 0) {
        stream->ready = false;
        if (got == 0 || errno != EAGAIN || exited)
            close_fd(&stream->fd);
        return got == 0;
    }
    stream_received(stream, outbox, type, (size_t)got);
    if (exited) {
        stream->drain -= (uint64_t)got;
        if (stream->drain == 0)
            close_fd(&stream->fd);
    } else if ((size_t)got < size) {
        stream->ready = false; /* the pipe is empty; more to come is a new edge */
    }
    return true;
}

bool exec_pump(struct exec_op *op, struct outbox *outbox)
{
    bool moved = false;

    if (!op->active)
        return false;
    moved |= stream_pump(&op->streams[0], op->exited, outbox, AGENT_FRAME_STDOUT);
    moved |= stream_pump(&op->streams[1], op->exited, outbox, AGENT_FRAME_STDERR);
    return moved;
}

static void start_killing(struct exec_op *op)
{
    op->phase = EXEC_KILLING;
    op->deadline_usec = INT64_MAX;
    (void)tree_signal(op->mark, SIGKILL);
}

void exec_exited(struct exec_op *op, int status, const struct rusage *usage)
{
    op->exited = true;
    op->recheck = true;
    op->pid = 0;
    op->status = status;
    op->usage = *usage;
    op->exited_usec = exec_clock_usec();
    op->deadline_usec = INT64_MAX;
    exec_close_stdin(op);
    for (int i = 0; i < EXEC_STREAMS; i++) {
        struct exec_stream *stream = &op->streams[i];
        int waiting = 0;

        if (stream->fd >= 0 && ioctl(stream->fd, FIONREAD, &waiting) == 0 && waiting > 0) {
            stream->drain = (uint64_t)waiting;
            stream->ready = true;
        } else {
            close_fd(&stream->fd);
        }
    }
}

void exec_child_died(struct exec_op *op)
{
    op->recheck = true;
}

void exec_expire(struct exec_op *op, int64_t now_usec)
{
    if (!op->active || now_usec < op->deadline_usec)
        return;
    op->timed_out = true;
    if (op->phase == EXEC_RUNNING && op->grace_ms > 0) {
        op->phase = EXEC_TERMINATING;
        op->deadline_usec = now_usec + (int64_t)op->grace_ms * 1000;
        (void)tree_signal(op->mark, SIGTERM);
    } else {
        start_killing(op);
    }
}

void exec_abandon(struct exec_op *op)
{
    if (!op->active)
        return;
    exec_close_stdin(op);
    for (int i = 0; i < EXEC_STREAMS; i++)
        close_fd(&op->streams[i].fd);
    op->recheck = true;
    start_killing(op);
}

bool exec_settled(struct exec_op *op)
{
    if (!op->recheck || !op->exited || op->streams[0].fd >= 0 || op->streams[1].fd >= 0)
        return false;
    op->recheck = false;
    if (op->phase == EXEC_RUNNING && !op->kill_leftovers)
        return true;
    op->phase = EXEC_KILLING;
    /* Each death brings a SIGCHLD, upon which this is asked again. */
    return tree_signal(op->mark, SIGKILL);
}

static void put_exit(const struct exec_op *op, struct outbox *outbox)
{
    const struct agent_exit_message message = {
        .status = (uint32_t)op->status,
        .flags = (op->timed_out ? AGENT_EXIT_TIMED_OUT : 0u) |
                 (op->streams[0].truncated ? AGENT_EXIT_STDOUT_TRUNCATED : 0u) |
                 (op->streams[1].truncated ? AGENT_EXIT_STDERR_TRUNCATED : 0u),
        .wall_usec = (uint64_t)(op->exited_usec - op->started_usec),
        .user_usec =
            (uint64_t)op->usage.ru_utime.tv_sec * 1000000 + (uint64_t)op->usage.ru_utime.tv_usec,
        .system_usec =
            (uint64_t)op->usage.ru_stime.tv_sec * 1000000 + (uint64_t)op->usage.ru_stime.tv_usec,
        .max_rss_bytes = (uint64_t)op->usage.ru_maxrss * 1024,
    };
    size_t size;
    uint8_t *space = outbox_space(outbox, OUTBOX_CONTROL_MAX, &size);

    outbox_commit(outbox, AGENT_FRAME_EXIT, agent_exit_encode(&message, space, size));
}

static void put_failure(const struct exec_op *op, struct outbox *outbox)
{
    const struct agent_error_message message = {
        .stage = op->report->stage,
        .errnum = op->report->errnum,
    };
    size_t size;
    uint8_t *space = outbox_space(outbox, OUTBOX_CONTROL_MAX, &size);

    outbox_commit(outbox, AGENT_FRAME_ERROR, agent_error_encode(&message, space, size));
}

bool exec_finish(struct exec_op *op, struct outbox *outbox)
{
    bool ran = op->report->stage == 0;

    if (ran)
        put_exit(op, outbox);
    else
        put_failure(op, outbox);
    exec_forget(op);
    return ran;
}

void exec_forget(struct exec_op *op)
{
    tree_end();
    op->active = false;
}
