#include "lib/runtime/process_log.h"

#include "lib/agentproto/frame.h"
#include "lib/agentproto/message.h"
#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    FILES = 2,
    NAME_SIZE = ID_TEXT_SIZE + 8,
    OPEN_ATTEMPTS = 4, /* a live log may begin a new file between two opens */
};

/* In the order in which they are read. */
static const char *const suffixes[FILES] = {".log.1", ".log"};

struct process_log {
    int fds[FILES]; /* -1: not there */
    unsigned current;
    struct id id;
    uint64_t expected; /* offset of the next byte, if nothing is gone */
    bool started;      /* the head of the current file was read */
    uint64_t left;     /* bytes that the current file may still have */
    struct agent_buffer buffer;
};

static int malformed(struct error *err)
{
    return error_set(err, ERR_INTERNAL, "the log of the process is malformed");
}

int process_log_folder(const char *state_dir, const struct id *sandbox, uint32_t generation,
                       int *ret_fd, struct error *err)
{
    char text[ID_TEXT_SIZE];
    char path[PATH_MAX];
    int fd;

    id_format(sandbox, text);
    if (snprintf(path, sizeof(path), "%s/logs/%s/%u", state_dir, text, generation) >=
        (int)sizeof(path))
        return error_set_errno(err, ENAMETOOLONG, "cannot open the log folder");
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return error_set(err, ERR_NOT_FOUND, "the sandbox has no logs");
    if (fd < 0)
        return error_set_errno(err, errno, "cannot open the log folder");
    *ret_fd = fd;
    return 0;
}

/* -1 when it is not there, or is not what the agent makes. */
static int open_regular(int folder_fd, const struct id *id, const char *suffix)
{
    _cleanup_close_ int fd = -1;
    char text[ID_TEXT_SIZE];
    char name[NAME_SIZE];
    struct stat status;

    id_format(id, text);
    (void)snprintf(name, sizeof(name), "%s%s", text, suffix);
    fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return -1;
    return TAKE_FD(fd);
}

/* The head of a file; false when it has none. */
static bool read_head(int fd, const struct id *id, struct agent_log_message *ret_head)
{
    uint8_t bytes[AGENT_HEADER_SIZE + AGENT_LOG_SIZE];
    uint8_t header[AGENT_HEADER_SIZE];

    agent_frame_header(header, AGENT_FRAME_LOG, AGENT_LOG_SIZE);
    return pread(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) &&
           memcmp(bytes, header, sizeof(header)) == 0 &&
           agent_log_decode(bytes + AGENT_HEADER_SIZE, AGENT_LOG_SIZE, ret_head) &&
           id_equal(&ret_head->id, id);
}

static void close_files(struct process_log *log)
{
    for (unsigned i = 0; i < FILES; i++) {
        if (log->fds[i] >= 0)
            close(log->fds[i]);
        log->fds[i] = -1;
    }
}

/* Drops what has no head. True when the rest is one piece of the log. */
static bool files_fit(struct process_log *log)
{
    struct agent_log_message heads[FILES];

    for (unsigned i = 0; i < FILES; i++) {
        if (log->fds[i] >= 0 && !read_head(log->fds[i], &log->id, &heads[i])) {
            close(log->fds[i]);
            log->fds[i] = -1;
        }
    }
    return log->fds[0] < 0 || log->fds[1] < 0 || heads[0].segment + 1 == heads[1].segment;
}

static int open_files(struct process_log *log, int folder_fd, struct error *err)
{
    for (int attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
        for (unsigned i = 0; i < FILES; i++)
            log->fds[i] = open_regular(folder_fd, &log->id, suffixes[i]);
        if (!files_fit(log)) {
            close_files(log);
            continue;
        }
        if (log->fds[0] < 0 && log->fds[1] < 0)
            return error_set(err, ERR_NOT_FOUND, "the process has no log");
        return 0;
    }
    return malformed(err);
}

int process_log_open(int folder_fd, const struct id *process, uint64_t offset,
                     struct process_log **ret_log, struct error *err)
{
    struct process_log *log = malloc(sizeof(*log));

    if (!log)
        return error_set_errno(err, ENOMEM, "cannot read the log");
    /* Not zeroed as a whole: the buffer is large and mostly unused. */
    log->current = 0;
    log->id = *process;
    log->expected = offset;
    log->started = false;
    log->left = AGENT_LOG_BYTES_MAX;
    log->buffer.start = log->buffer.end = 0;
    if (open_files(log, folder_fd, err) < 0) {
        free(log);
        return -1;
    }
    *ret_log = log;
    return 0;
}

void process_log_free(struct process_log *log)
{
    if (!log)
        return;
    close_files(log);
    free(log);
}

/* 1: there is more in the buffer; 0: the file ends. */
static int read_more(struct process_log *log, struct error *err)
{
    size_t size;
    uint8_t *space = agent_buffer_space(&log->buffer, &size);
    ssize_t got = read(log->fds[log->current], space, size);

    if (got < 0)
        return error_set_errno(err, errno, "cannot read the log");
    if ((uint64_t)got > log->left)
        return malformed(err);
    log->left -= (uint64_t)got;
    agent_buffer_filled(&log->buffer, (size_t)got);
    return got > 0;
}

/* The next frame of the current file: 1; its end: 0; or -1. */
static int next_frame(struct process_log *log, struct agent_frame *ret_frame, struct error *err)
{
    for (;;) {
        int more;

        switch (agent_buffer_next(&log->buffer, ret_frame)) {
        case AGENT_FRAME_WHOLE:
            return 1;
        case AGENT_FRAME_BROKEN:
            return malformed(err);
        case AGENT_FRAME_PARTIAL:
            break;
        }
        more = read_more(log, err);
        if (more <= 0)
            return more;
    }
}

static int take_process(struct process_log *log, const struct agent_frame *frame,
                        struct process_log_entry *ret_entry, struct error *err)
{
    struct agent_process_message message;

    if (!agent_process_decode(frame->payload, frame->size, &message) ||
        !id_equal(&message.id, &log->id))
        return malformed(err);
    *ret_entry = (struct process_log_entry){.kind = PROCESS_LOG_STATE};
    agent_process_from_message(&message, &ret_entry->process);
    return 1;
}

/* Cuts off what lies before the offset asked for; 0 when nothing is left. */
static int take_output(struct process_log *log, const struct agent_frame *frame,
                       struct process_log_entry *ret_entry, struct error *err)
{
    struct agent_output_message output;
    uint64_t skipped;

    if (!agent_output_decode(frame->payload, frame->size, &output))
        return malformed(err);
    if (output.offset + output.size <= log->expected)
        return 0;
    skipped = log->expected > output.offset ? log->expected - output.offset : 0;
    *ret_entry = (struct process_log_entry){
        .kind = PROCESS_LOG_OUTPUT,
        .stream = (enum agent_stream)output.stream,
        .offset = output.offset + skipped,
        .stream_offset = output.stream_offset + skipped,
        .gap = output.offset > log->expected ? output.offset - log->expected : 0,
        .time_usec = (int64_t)output.time_usec,
        .bytes = output.bytes + skipped,
        .size = output.size - (size_t)skipped,
    };
    log->expected = output.offset + output.size;
    return 1;
}

/* 1: an entry; 0: a frame that gives none; or -1. */
static int take_frame(struct process_log *log, const struct agent_frame *frame,
                      struct process_log_entry *ret_entry, struct error *err)
{
    bool head = !log->started;

    log->started = true;
    if (head != (frame->type == AGENT_FRAME_LOG))
        return malformed(err);
    if (head)
        return 0;
    if (frame->type == AGENT_FRAME_PROCESS)
        return take_process(log, frame, ret_entry, err);
    if (frame->type == AGENT_FRAME_OUTPUT)
        return take_output(log, frame, ret_entry, err);
    return malformed(err);
}

int process_log_next(struct process_log *log, struct process_log_entry *ret_entry,
                     struct error *err)
{
    while (log->current < FILES) {
        struct agent_frame frame;
        int result = log->fds[log->current] < 0 ? 0 : next_frame(log, &frame, err);

        if (result < 0)
            return -1;
        if (result == 0) {
            log->current++;
            log->started = false;
            log->left = AGENT_LOG_BYTES_MAX;
            log->buffer.start = log->buffer.end = 0;
            continue;
        }
        result = take_frame(log, &frame, ret_entry, err);
        if (result != 0)
            return result;
    }
    return 0;
}

/* The last state that the log has; `attempts` is 0 without one. */
static int read_last_state(struct process_log *log, struct agent_process *ret_last,
                           struct error *err)
{
    struct process_log_entry entry = {0};
    struct agent_process last = {0};
    int result;

    while ((result = process_log_next(log, &entry, err)) > 0) {
        if (entry.kind == PROCESS_LOG_STATE)
            last = entry.process;
    }
    if (result == 0)
        *ret_last = last;
    return result;
}

int process_log_outcome(int folder_fd, const struct id *process, struct agent_process *ret_process,
                        struct error *err)
{
    struct process_log *log = NULL;
    struct agent_process last = {0};
    int result;

    if (process_log_open(folder_fd, process, UINT64_MAX, &log, err) < 0 || !log)
        return -1;
    result = read_last_state(log, &last, err);
    process_log_free(log);
    if (result < 0)
        return -1;
    if (last.attempts == 0)
        return error_set(err, ERR_NOT_FOUND, "the log says nothing of the process");
    *ret_process = last;
    return 0;
}
