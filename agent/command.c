#include "agent/command.h"

#include "agent/clock.h"
#include "agent/failure.h"
#include "agent/terminal.h"
#include "agent/text.h"
#include "agent/tree.h"
#include "lib/agentproto/inbox.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum {
    VARIABLE_MAX = 8 + ACCOUNT_HOME_MAX,
    /* What a terminal may still hold when its process ends: the kernel's buffers hold less. */
    TERMINAL_DRAIN = 128 * 1024,
};

/* Both ends of the three pipes while a command is started: [stream][0 the command's, 1 ours]. */
struct pipes {
    int ends[3][2];
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void pipes_close_far(struct pipes *pipes)
{
    for (int i = 0; i < 3; i++)
        close_fd(&pipes->ends[i][0]);
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

/* A terminal instead: one far end for all three, and of the near one a descriptor each for input
 * and output, as if they were pipes. */
static int terminal_pipes(struct pipes *pipes, const struct command_options *options, uid_t uid)
{
    int errnum;

    memset(pipes, -1, sizeof(*pipes));
    errnum = terminal_open(uid, options->rows, options->columns, &pipes->ends[STDOUT_FILENO][1],
                           &pipes->ends[STDIN_FILENO][0]);
    if (errnum != 0)
        return errnum;
    pipes->ends[STDIN_FILENO][1] = fcntl(pipes->ends[STDOUT_FILENO][1], F_DUPFD_CLOEXEC, 0);
    if (pipes->ends[STDIN_FILENO][1] < 0)
        return errno;
    errnum =
        poller_add(pipes->ends[STDIN_FILENO][1], POLLER_STDIN, options->index, EPOLLOUT | EPOLLET);
    if (errnum != 0)
        return errnum;
    return poller_add(pipes->ends[STDOUT_FILENO][1], POLLER_STDOUT, options->index,
                      EPOLLIN | EPOLLET);
}

static bool has_variable(const struct agent_command *what, const char *name)
{
    size_t length = strlen(name);

    for (uint32_t i = 0; i < what->envc; i++) {
        if (strncmp(what->env[i], name, length) == 0 && what->env[i][length] == '=')
            return true;
    }
    return false;
}

/* Adds NAME=value, made in the VARIABLE_MAX bytes of `text`, unless the client gave NAME or there
 * is no value. */
static void add_variable(struct agent_command *what, char *text, const char *name,
                         const char *value)
{
    const char *const parts[] = {name, "=", value, NULL};

    if (*value != '\0' && !has_variable(what, name) && text_join(text, VARIABLE_MAX, parts))
        what->env[what->envc++] = text;
}

/* The agent's ends belong to the command from here on. */
static void command_init(struct command *command, const struct command_options *options,
                         struct pipes *pipes)
{
    memset(command, 0, sizeof(*command));
    command->active = true;
    command->kill_leftovers = options->kill_leftovers;
    command->terminal = options->terminal;
    command->archive = options->archive;
    command->stdin_ready = true;
    command->stdin_fd = TAKE_FD(pipes->ends[STDIN_FILENO][1]);
    command->start_fd = -1;
    command->grace_ms = options->grace_ms;
    command->report = options->report;
    command->deadline_usec = INT64_MAX;
    if (options->timeout_ms > 0)
        command->deadline_usec = clock_usec() + (int64_t)options->timeout_ms * 1000;
    for (int i = 0; i < COMMAND_STREAMS; i++)
        command->streams[i].fd = TAKE_FD(pipes->ends[STDOUT_FILENO + i][1]);
}

static void command_close(struct command *command)
{
    close_fd(&command->stdin_fd);
    close_fd(&command->start_fd);
    for (int i = 0; i < COMMAND_STREAMS; i++)
        close_fd(&command->streams[i].fd);
}

/* Forks; the pipes' far ends are the caller's to close. */
static int start_process(struct command *command, struct agent_command *what,
                         const struct account *account, const struct pipes *pipes)
{
    char home[VARIABLE_MAX], user[VARIABLE_MAX];
    int first = pipes->ends[STDIN_FILENO][0];
    struct spawn_request request = {
        .argv = what->argv,
        .env = what->env,
        .cwd = what->cwd,
        .account = account,
        .fds = {first, command->terminal ? first : pipes->ends[STDOUT_FILENO][0],
                command->terminal ? first : pipes->ends[STDERR_FILENO][0]},
        .terminal = command->terminal,
        .alone = tree_empty(),
        .archive = command->archive,
    };
    int errnum;

    if (!has_variable(what, "PATH"))
        what->env[what->envc++] = DEFAULT_PATH;
    add_variable(what, home, "HOME", account->home);
    add_variable(what, user, "USER", account->name);
    what->env[what->envc] = NULL;
    command->started_usec = clock_usec();
    request.mark = command->mark = tree_begin();
    errnum = spawn_process(&request, command->report, &command->pid);
    if (errnum != 0)
        tree_end();
    return errnum;
}

/* As start_process, with a pipe beside it whose far end only the child has, until its exec. */
static int start_confirmed(struct command *command, struct agent_command *what,
                           const struct account *account, const struct pipes *pipes, uint32_t index)
{
    _cleanup_close_ int far = -1;
    int fds[2];
    int errnum;

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return errno;
    command->start_fd = fds[0];
    far = fds[1];
    errnum = poller_add(command->start_fd, POLLER_START, index, EPOLLIN | EPOLLET);
    return errnum != 0 ? errnum : start_process(command, what, account, pipes);
}

bool command_start(struct command *command, struct agent_command *what,
                   const struct command_options *options, struct agent_error_message *ret_error)
{
    struct account account;
    struct pipes pipes;
    int errnum = account_resolve(what->user, &account);

    if (errnum != 0)
        return agent_failed(ret_error, AGENT_STAGE_USER, errnum);
    errnum = options->terminal ? terminal_pipes(&pipes, options, account.uid)
                               : pipes_open(&pipes, options->input, options->index);
    command_init(command, options, &pipes);
    if (errnum == 0)
        errnum = options->confirm ? start_confirmed(command, what, &account, &pipes, options->index)
                                  : start_process(command, what, &account, &pipes);
    pipes_close_far(&pipes);
    if (errnum == 0)
        return true;
    command_close(command);
    command->active = false;
    return agent_failed(ret_error, AGENT_STAGE_PROCESS, errnum);
}

void command_event(struct command *command, enum poller_source source)
{
    if (source == POLLER_STDIN)
        command->stdin_ready = true;
    else if (source == POLLER_STDOUT)
        command->streams[0].ready = true;
    else if (source == POLLER_STDERR)
        command->streams[1].ready = true;
}

size_t command_feed(struct command *command, const uint8_t *bytes, size_t size)
{
    ssize_t written;

    if (!command->active || command->stdin_fd < 0)
        return size;
    if (!command->stdin_ready)
        return 0;
    written = write(command->stdin_fd, bytes, size);
    if (written >= 0) {
        command->stdin_ready = (size_t)written == size;
        return (size_t)written;
    }
    if (errno == EAGAIN) {
        command->stdin_ready = false;
        return 0;
    }
    command_close_stdin(command); /* EPIPE: nobody reads; the rest is dropped */
    return size;
}

void command_close_stdin(struct command *command)
{
    if (command->active)
        close_fd(&command->stdin_fd);
}

static bool stream_pump(struct command *command, unsigned index, const struct command_sink *sink)
{
    struct command_stream *stream = &command->streams[index];
    uint8_t *target;
    size_t size = 0;
    ssize_t got;

    if (stream->fd < 0 || !stream->ready)
        return false;
    target = sink->space(sink->context, index, &size);
    if (!target)
        return false;
    if (command->exited && size > stream->drain)
        size = (size_t)stream->drain;
    got = read(stream->fd, target, size);
    if (got <= 0) {
        stream->ready = false;
        if (got == 0 || errno != EAGAIN || command->exited)
            close_fd(&stream->fd);
        return got == 0;
    }
    sink->received(sink->context, index, (size_t)got);
    if (command->exited) {
        stream->drain -= (uint64_t)got;
        if (stream->drain == 0)
            close_fd(&stream->fd);
    } else if ((size_t)got < size && !command->terminal) {
        stream->ready = false; /* the pipe is empty; more to come is a new edge */
    }
    return true;
}

bool command_pump(struct command *command, const struct command_sink *sink)
{
    bool moved = false;

    if (!command->active)
        return false;
    for (unsigned i = 0; i < COMMAND_STREAMS; i++)
        moved |= stream_pump(command, i, sink);
    return moved;
}

bool command_confirmed(struct command *command)
{
    char byte;

    if (command->start_fd >= 0 && read(command->start_fd, &byte, 1) == 0)
        close_fd(&command->start_fd);
    return command->start_fd < 0;
}

static void start_killing(struct command *command)
{
    command->phase = COMMAND_KILLING;
    command->deadline_usec = INT64_MAX;
    (void)tree_signal(command->mark, command->pid, SIGKILL);
}

void command_exited(struct command *command, int status, const struct rusage *usage)
{
    command->exited = true;
    command->recheck = true;
    command->pid = 0;
    command->status = status;
    command->usage = *usage;
    command->exited_usec = clock_usec();
    command->deadline_usec = INT64_MAX;
    command_close_stdin(command);
    for (int i = 0; i < COMMAND_STREAMS; i++) {
        struct command_stream *stream = &command->streams[i];
        int waiting = 0;

        /* What a terminal's buffers hold is only known by reading them. */
        if (command->terminal)
            waiting = TERMINAL_DRAIN;
        else if (stream->fd < 0 || ioctl(stream->fd, FIONREAD, &waiting) < 0)
            waiting = 0;
        if (stream->fd >= 0 && waiting > 0) {
            stream->drain = (uint64_t)waiting;
            stream->ready = true;
        } else {
            close_fd(&stream->fd);
        }
    }
}

void command_child_died(struct command *command)
{
    command->recheck = true;
}

void command_expire(struct command *command, int64_t now_usec)
{
    if (!command->active || now_usec < command->deadline_usec)
        return;
    command->timed_out = true;
    if (command->phase == COMMAND_RUNNING && command->grace_ms > 0) {
        command->phase = COMMAND_TERMINATING;
        command->deadline_usec = now_usec + (int64_t)command->grace_ms * 1000;
        (void)tree_signal(command->mark, command->pid, SIGTERM);
    } else {
        start_killing(command);
    }
}

void command_abandon(struct command *command)
{
    if (!command->active)
        return;
    command_close_stdin(command);
    for (int i = 0; i < COMMAND_STREAMS; i++)
        close_fd(&command->streams[i].fd);
    command->recheck = true;
    start_killing(command);
}

bool command_settled(struct command *command)
{
    if (!command->recheck || !command->exited || command->streams[0].fd >= 0 ||
        command->streams[1].fd >= 0)
        return false;
    command->recheck = false;
    if (command->phase == COMMAND_RUNNING && !command->kill_leftovers)
        return true;
    command->phase = COMMAND_KILLING;
    /* Each death brings a SIGCHLD, upon which this is asked again. */
    return tree_signal(command->mark, command->pid, SIGKILL);
}

void command_end(struct command *command)
{
    command_close(command);
    tree_end();
    command->active = false;
}

static uint64_t timeval_usec(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

uint64_t command_wall_usec(const struct command *command)
{
    return (uint64_t)(command->exited_usec - command->started_usec);
}

uint64_t command_user_usec(const struct command *command)
{
    return timeval_usec(&command->usage.ru_utime);
}

uint64_t command_system_usec(const struct command *command)
{
    return timeval_usec(&command->usage.ru_stime);
}

uint64_t command_max_rss_bytes(const struct command *command)
{
    return (uint64_t)command->usage.ru_maxrss * 1024;
}
