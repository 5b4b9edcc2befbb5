#include "agent/process.h"

#include "agent/clock.h"
#include "agent/failure.h"
#include "agent/terminal.h"
#include "agent/tree.h"
#include "lib/agentproto/inbox.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    READ_SIZE = AGENT_OUTPUT_MAX,
    TURN_ROUNDS = 16, /* rounds of one process before the others have theirs */
    BACKOFF_MAX_MS = 60 * 1000,
};

static struct process table[AGENT_PROCESSES_MAX];
static uint32_t table_end; /* no entry at or behind this was ever used */
static uint32_t last_serial;
static volatile struct spawn_report *reports; /* one for each entry, shared with children */

/* What is left of the bound when each entry's log has what it may always have. */
static struct log_pool log_pool = {
    .max = AGENT_LOGS_BYTES_MAX - AGENT_PROCESSES_MAX * AGENT_LOG_BYTES_MIN,
};

int processes_init(void)
{
    void *memory = mmap(NULL, AGENT_PROCESSES_MAX * sizeof(*reports), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return errno;
    reports = memory;
    return 0;
}

struct process *process_from(uint32_t index)
{
    for (; index < table_end; index++) {
        if (table[index].used)
            return &table[index];
    }
    return NULL;
}

struct process *process_find(const struct id *id)
{
    for (uint32_t i = 0; i < table_end; i++) {
        if (table[i].used && memcmp(&table[i].known.id, id, sizeof(*id)) == 0)
            return &table[i];
    }
    return NULL;
}

struct process *process_at(uint32_t index, uint32_t serial)
{
    struct process *process = &table[index];

    return process->used && process->serial == serial ? process : NULL;
}

static struct process *free_entry(void)
{
    for (uint32_t i = 0; i < table_end; i++) {
        if (!table[i].used)
            return &table[i];
    }
    return table_end < AGENT_PROCESSES_MAX ? &table[table_end++] : NULL;
}

static void drop_request(struct process *process)
{
    if (process->request)
        (void)munmap(process->request, process->request_size);
    process->request = NULL;
}

static void free_process(struct process *process)
{
    drop_request(process);
    log_file_close(&process->log);
    process->used = false;
}

/* The request as bytes, because what it points to goes with the connection's next frame. */
static int keep_request(struct process *process, const struct agent_start_message *message)
{
    size_t size = agent_start_size(message);
    void *memory;

    if (message->retries == 0)
        return 0;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return errno;
    process->request = memory;
    process->request_size = size;
    (void)agent_start_encode(message, memory, size);
    return 0;
}

void process_describe(const struct process *process, struct agent_process_message *ret_message)
{
    *ret_message = process->known;
    ret_message->state = process->state;
    ret_message->flags |=
        (process->log.begin > 0 ? AGENT_PROCESS_TRUNCATED : 0u) |
        (process->log.lost ? AGENT_PROCESS_LOST : 0u) |
        (process->command.active && process->command.stdin_fd >= 0 ? AGENT_PROCESS_INPUT : 0u);
    ret_message->log_begin = process->log.begin;
    ret_message->log_end = log_file_end(&process->log);
    ret_message->stdout_end = process->log.stream_end[0];
    ret_message->stderr_end = process->log.stream_end[1];
}

static void set_state(struct process *process, enum agent_process_state state)
{
    struct agent_process_message message;

    process->state = state;
    process_describe(process, &message);
    log_file_process(&process->log, &message);
}

static bool run_attempt(struct process *process, struct agent_start_message *message,
                        struct agent_error_message *ret_error)
{
    const struct command_options options = {
        .index = POLLER_PROCESSES + process->index,
        .timeout_ms = message->timeout_ms,
        .grace_ms = message->grace_ms,
        .input = (message->flags & AGENT_START_STDIN) != 0,
        .terminal = (message->flags & AGENT_START_TERMINAL) != 0,
        .kill_leftovers = (message->flags & AGENT_START_KILL_LEFTOVERS) != 0,
        .confirm = true,
        .rows = (uint16_t)message->rows,
        .columns = (uint16_t)message->columns,
        .report = &reports[process->index],
    };

    process->known.attempts++;
    if (!command_start(&process->command, &message->command, &options, ret_error))
        return false;
    process->known.pid = (uint32_t)process->command.pid;
    return true;
}

static bool start_entry(struct process *process, struct agent_start_message *message,
                        struct agent_error_message *ret_error)
{
    int errnum = keep_request(process, message);

    if (errnum != 0)
        return agent_failed(ret_error, AGENT_STAGE_TABLE, errnum);
    errnum = log_file_create(&process->log, &log_pool, &message->id, message->log_bytes,
                             message->log_lines);
    if (errnum != 0)
        return agent_failed(ret_error, AGENT_STAGE_LOG, errnum);
    if (run_attempt(process, message, ret_error))
        return true;
    log_file_remove(&process->log);
    return false;
}

struct process *process_start(struct agent_start_message *message,
                              struct agent_error_message *ret_error)
{
    struct process *process = process_find(&message->id) ? NULL : free_entry();

    if (!process) {
        (void)agent_failed(ret_error, AGENT_STAGE_TABLE,
                           process_find(&message->id) ? EEXIST : ENOSPC);
        return NULL;
    }
    *process = (struct process){
        .used = true,
        .awaited = true,
        .index = (uint32_t)(process - table),
        .serial = ++last_serial,
        .state = AGENT_PROCESS_RUNNING,
        .known = {.id = message->id, .started_usec = clock_unix_usec()},
        .log = {.fd = -1},
        .retries_left = message->retries,
        .backoff_ms = message->backoff_ms,
    };
    if (message->flags & AGENT_START_TERMINAL)
        process->known.flags = AGENT_PROCESS_TERMINAL;
    if (start_entry(process, message, ret_error)) {
        set_state(process, AGENT_PROCESS_RUNNING);
        return process;
    }
    free_process(process);
    return NULL;
}

/* True when the very first program could not be executed: there has been no process at all. */
static bool never_ran(const struct process *process)
{
    return process->known.attempts == 1 && process->command.report->stage != 0;
}

int process_confirm(struct process *process, struct agent_error_message *ret_error)
{
    if (!process->command.active || command_confirmed(&process->command)) {
        if (!never_ran(process))
            return 1;
        if (process->command.active)
            return 0; /* its child is still to be reaped */
        (void)agent_failed(ret_error, process->command.report->stage,
                           (int)process->command.report->errnum);
        log_file_remove(&process->log);
        free_process(process);
        return -1;
    }
    return 0;
}

void process_release(struct process *process)
{
    process->awaited = false;
}

/* To the process alone: its pid is its own until it is reaped, and then `pid` is 0. */
static int signal_one(const struct process *process, bool group, int signum)
{
    pid_t pid = process->command.active ? process->command.pid : 0;

    if (pid == 0)
        return ESRCH;
    return kill(group ? -pid : pid, signum) < 0 ? errno : 0;
}

static int signal_tree(const struct process *process, int signum)
{
    bool none = process->command.active
                    ? tree_signal(process->command.mark, process->command.pid, signum)
                    : tree_signal_ended(process->command.mark, signum);

    return none ? ESRCH : 0;
}

static void finish(struct process *process);

int process_signal(struct process *process, const struct agent_signal_message *message)
{
    int errnum;

    if (message->flags & AGENT_SIGNAL_FINAL)
        process->final = true;
    if (message->target == AGENT_SIGNAL_TREE)
        errnum = signal_tree(process, (int)message->signal);
    else
        errnum = signal_one(process, message->target == AGENT_SIGNAL_GROUP, (int)message->signal);
    if (process->final && process->state == AGENT_PROCESS_RESTARTING) {
        finish(process);
        return 0;
    }
    return errnum;
}

void processes_finish(void)
{
    for (uint32_t i = 0; i < table_end; i++) {
        if (!table[i].used)
            continue;
        table[i].final = true;
        if (table[i].state == AGENT_PROCESS_RESTARTING)
            finish(&table[i]);
    }
}

void processes_hang_up(void)
{
    for (uint32_t i = 0; i < table_end; i++) {
        if (table[i].used && (table[i].known.flags & AGENT_PROCESS_TERMINAL))
            (void)signal_one(&table[i], false, SIGHUP);
    }
}

int process_resize(struct process *process, uint16_t rows, uint16_t columns)
{
    if (!(process->known.flags & AGENT_PROCESS_TERMINAL))
        return ENOTTY;
    if (!process->command.active || process->command.streams[0].fd < 0)
        return ESRCH;
    return terminal_resize(process->command.streams[0].fd, rows, columns);
}

int process_forget(struct process *process, bool remove_log)
{
    if (process->state != AGENT_PROCESS_ENDED)
        return EBUSY;
    if (remove_log)
        log_file_remove(&process->log);
    else
        log_file_leave(&process->log);
    free_process(process);
    return 0;
}

void processes_event(const struct poller_event *event)
{
    struct process *process = &table[event->index - POLLER_PROCESSES];

    if (process->used && process->command.active)
        command_event(&process->command, event->source);
}

void processes_child_exited(pid_t pid, int status, const struct rusage *usage)
{
    for (uint32_t i = 0; i < table_end; i++) {
        struct command *command = &table[i].command;

        if (!table[i].used || !command->active)
            continue;
        if (command->pid == pid)
            command_exited(command, status, usage);
        else
            command_child_died(command);
    }
}

static uint8_t *log_space(void *context, unsigned stream, size_t *ret_size)
{
    static uint8_t bytes[READ_SIZE];

    (void)context;
    (void)stream;
    *ret_size = sizeof(bytes);
    return bytes;
}

static void log_received(void *context, unsigned stream, size_t size)
{
    struct process *process = context;
    size_t capacity;
    const uint8_t *bytes = log_space(context, stream, &capacity);

    log_file_output(&process->log, AGENT_STREAM_STDOUT + stream, bytes, size);
}

/* True when there may be more. */
static bool pump(struct process *process)
{
    const struct command_sink sink = {
        .context = process,
        .space = log_space,
        .received = log_received,
    };
    bool moved = true;

    for (int round = 0; round < TURN_ROUNDS && moved; round++)
        moved = command_pump(&process->command, &sink);
    return moved;
}

static void finish(struct process *process)
{
    set_state(process, AGENT_PROCESS_ENDED);
    drop_request(process);
    log_file_close(&process->log);
}

static bool may_retry(const struct process *process)
{
    return process->known.status != 0 && process->retries_left > 0 && !process->final &&
           !process->command.timed_out;
}

static void plan_retry(struct process *process)
{
    process->retries_left--;
    process->retry_usec = clock_usec() + (int64_t)process->backoff_ms * 1000;
    process->backoff_ms =
        process->backoff_ms < BACKOFF_MAX_MS / 2 ? process->backoff_ms * 2 : BACKOFF_MAX_MS;
    set_state(process, AGENT_PROCESS_RESTARTING);
}

/* The attempt is over: its end is noted, then comes the next one or the end of all. */
static void end_attempt(struct process *process)
{
    struct command *command = &process->command;
    struct agent_process_message *known = &process->known;

    command_end(command);
    known->status = (uint32_t)command->status;
    known->errnum = command->report->errnum;
    known->ended_usec = clock_unix_usec();
    known->wall_usec = command_wall_usec(command);
    known->user_usec = command_user_usec(command);
    known->system_usec = command_system_usec(command);
    known->max_rss_bytes = command_max_rss_bytes(command);
    known->flags |= command->timed_out ? AGENT_PROCESS_TIMED_OUT : 0u;
    if (never_ran(process))
        return; /* the starter is told, or nobody */
    if (may_retry(process))
        plan_retry(process);
    else
        finish(process);
}

/* When no process can be made, that attempt has failed as one whose program fails. */
static void retry(struct process *process)
{
    static const char *argv[AGENT_ARGS_MAX + 1];
    static const char *env[AGENT_ARGS_MAX + AGENT_ENV_DEFAULTS + 1];
    struct agent_start_message message = {.command = {.argv = argv, .env = env}};
    struct agent_error_message error;

    if (!agent_start_decode(process->request, process->request_size, &message)) {
        finish(process);
        return;
    }
    if (run_attempt(process, &message, &error)) {
        set_state(process, AGENT_PROCESS_RUNNING);
        return;
    }
    process->known.errnum = error.errnum;
    if (may_retry(process))
        plan_retry(process);
    else
        finish(process);
}

static bool run_active(struct process *process, int64_t now_usec)
{
    struct command *command = &process->command;
    bool moved;

    command_expire(command, now_usec);
    (void)command_confirmed(command);
    moved = pump(process);
    if (!moved && command_settled(command)) {
        end_attempt(process);
        moved = true;
    }
    return moved;
}

/* True when there is more to do, for it or for those who read of it. */
static bool run_process(struct process *process, int64_t now_usec)
{
    uint64_t before = log_file_end(&process->log);
    bool moved = false;

    if (process->command.active)
        moved = run_active(process, now_usec);
    else if (process->state == AGENT_PROCESS_RESTARTING && now_usec >= process->retry_usec) {
        retry(process);
        moved = true;
    }
    if (!process->command.active && !process->awaited && never_ran(process)) {
        log_file_remove(&process->log);
        free_process(process);
    }
    return moved || log_file_end(&process->log) != before;
}

static int64_t next_usec(const struct process *process)
{
    if (process->command.active)
        return process->command.deadline_usec;
    return process->state == AGENT_PROCESS_RESTARTING ? process->retry_usec : INT64_MAX;
}

int processes_run(void)
{
    int64_t nearest = INT64_MAX;
    int64_t now = table_end > 0 ? clock_usec() : 0;
    bool again = false;

    for (uint32_t i = 0; i < table_end; i++) {
        if (!table[i].used)
            continue;
        again |= run_process(&table[i], now);
        if (table[i].used && next_usec(&table[i]) < nearest)
            nearest = next_usec(&table[i]);
    }
    return again ? 0 : clock_timeout_ms(nearest, now);
}
