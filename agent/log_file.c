#include "agent/log_file.h"

#include "agent/clock.h"
#include "agent/text.h"
#include "lib/agentproto/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LOG_MODE = 0640 };

static void make_name(const struct id *id, const char *suffix, char name[LOG_NAME_MAX])
{
    char digits[2 * ID_BYTES + 1];

    text_hex(digits, id->bytes, ID_BYTES);
    (void)text_join(name, LOG_NAME_MAX, (const char *const[]){digits, suffix, NULL});
}

/* What a file of this size takes from the pool. */
static uint64_t above_share(uint64_t size)
{
    return size > LOG_FILE_SHARE ? size - LOG_FILE_SHARE : 0;
}

static void set_size(struct log_file *log, uint64_t size)
{
    log->pool->used += above_share(size) - above_share(log->size);
    log->size = size;
}

uint64_t log_file_end(const struct log_file *log)
{
    return log->stream_end[0] + log->stream_end[1];
}

/* A record is there as a whole or not at all, unless the host's disk fails in between. */
static int append(struct log_file *log, const void *head, size_t head_size, const void *body,
                  size_t body_size)
{
    const struct iovec parts[] = {
        {.iov_base = (void *)head, .iov_len = head_size},
        {.iov_base = (void *)body, .iov_len = body_size},
    };
    ssize_t written;

    if (log->fd < 0)
        return EBADF;
    do
        written = pwritev(log->fd, parts, body_size > 0 ? 2 : 1, (off_t)log->size);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)(head_size + body_size)) {
        set_size(log, log->size + (uint64_t)written);
        return 0;
    }
    if (written >= 0 && ftruncate(log->fd, (off_t)log->size) == 0)
        return ENOSPC;
    return written < 0 ? errno : EIO;
}

/* The size that a payload has in the file. */
static size_t record_size(size_t payload)
{
    return AGENT_HEADER_SIZE + payload;
}

/* Makes the file of the log's number under the name with this suffix. On failure there is none. */
static int open_segment(struct log_file *log, const char *suffix)
{
    const struct agent_log_message message = {
        .version = AGENT_LOG_VERSION,
        .segment = log->segment,
        .id = log->id,
        .offset = log_file_end(log),
        .stdout_offset = log->stream_end[0],
        .stderr_offset = log->stream_end[1],
    };
    uint8_t record[AGENT_HEADER_SIZE + AGENT_LOG_SIZE];
    char name[LOG_NAME_MAX];
    int errnum;

    make_name(&log->id, suffix, name);
    log->fd =
        openat(AGENT_FD_LOGS, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, LOG_MODE);
    if (log->fd < 0)
        return errno;
    log->lines = 0;
    log->newest = log_file_end(log);
    agent_frame_header(record, AGENT_FRAME_LOG, AGENT_LOG_SIZE);
    (void)agent_log_encode(&message, record + AGENT_HEADER_SIZE, AGENT_LOG_SIZE);
    errnum = append(log, record, sizeof(record), NULL, 0);
    if (errnum != 0) {
        log_file_close(log);
        (void)unlinkat(AGENT_FD_LOGS, name, 0);
    }
    return errnum;
}

int log_file_create(struct log_file *log, struct log_pool *pool, const struct id *id,
                    uint64_t bytes, uint32_t lines)
{
    int errnum;

    if (pool->used > pool->max)
        return ENOSPC;
    memset(log, 0, sizeof(*log));
    log->id = *id;
    log->pool = pool;
    log->bytes_max = bytes / 2;
    log->lines_max = lines / 2;
    errnum = open_segment(log, ".log");
    if (errnum == EBADF)
        return ENOTDIR;
    return errnum;
}

/* Begins the next file. When that fails, the full one goes on being the newest. */
static void rotate(struct log_file *log)
{
    char newest[LOG_NAME_MAX], older[LOG_NAME_MAX], made[LOG_NAME_MAX];
    struct log_file next = *log;

    make_name(&log->id, ".log", newest);
    make_name(&log->id, ".log.1", older);
    make_name(&log->id, ".log.2", made);
    next.segment++;
    next.begin = log->newest;
    next.size_before = log->size;
    next.size = 0;
    if (open_segment(&next, ".log.2") != 0)
        return;
    if (renameat(AGENT_FD_LOGS, newest, AGENT_FD_LOGS, older) < 0 ||
        renameat(AGENT_FD_LOGS, made, AGENT_FD_LOGS, newest) < 0) {
        log_file_close(&next);
        (void)unlinkat(AGENT_FD_LOGS, made, 0);
        return;
    }
    log->pool->used -= above_share(log->size_before);
    log_file_close(log);
    *log = next;
}

/* Whether the newest file may not grow to `size`. */
static bool is_too_large(const struct log_file *log, uint64_t size)
{
    uint64_t wanted = above_share(size) - above_share(log->size);

    return size > log->bytes_max || (wanted > 0 && log->pool->used + wanted > log->pool->max);
}

/* Whether the newest file has no room for `payload` bytes more. */
static bool is_full(const struct log_file *log, size_t payload)
{
    return is_too_large(log, log->size + record_size(payload)) || log->lines >= log->lines_max;
}

/* Makes room for `payload` bytes more in the newest file. False when there is none: no file could
 * be made, which is tried again next time. */
static bool make_room(struct log_file *log, size_t payload)
{
    if (!is_full(log, payload))
        return true;
    rotate(log);
    return !is_full(log, payload);
}

/* How much of the bytes the newest file may take by its lines; counts these. */
static size_t take_lines(struct log_file *log, const uint8_t *bytes, size_t size)
{
    const uint8_t *end = bytes + size;
    const uint8_t *next = bytes;

    while (log->lines < log->lines_max) {
        next = memchr(next, '\n', (size_t)(end - next));
        if (!next)
            return size;
        next++;
        log->lines++;
    }
    return (size_t)(next - bytes);
}

/* Without room the bytes are counted and lost. */
static void put_output(struct log_file *log, enum agent_stream stream, const uint8_t *bytes,
                       size_t size, bool room)
{
    uint64_t *stream_end = &log->stream_end[stream - AGENT_STREAM_STDOUT];
    const struct agent_output_message message = {
        .stream = stream,
        .offset = log_file_end(log),
        .stream_offset = *stream_end,
        .time_usec = clock_unix_usec(),
    };
    uint8_t head[AGENT_HEADER_SIZE + AGENT_OUTPUT_HEAD];

    agent_frame_header(head, AGENT_FRAME_OUTPUT, (uint32_t)(AGENT_OUTPUT_HEAD + size));
    (void)agent_output_encode(&message, head + AGENT_HEADER_SIZE, AGENT_OUTPUT_HEAD);
    if (!room || append(log, head, sizeof(head), bytes, size) != 0)
        log->lost = true;
    *stream_end += size;
}

void log_file_output(struct log_file *log, enum agent_stream stream, const uint8_t *bytes,
                     size_t size)
{
    while (size > 0) {
        size_t part = size < AGENT_OUTPUT_MAX ? size : AGENT_OUTPUT_MAX;
        bool room = make_room(log, AGENT_OUTPUT_HEAD + part);

        if (room)
            part = take_lines(log, bytes, part);
        put_output(log, stream, bytes, part, room);
        bytes += part;
        size -= part;
    }
}

void log_file_process(struct log_file *log, const struct agent_process_message *message)
{
    uint8_t record[AGENT_HEADER_SIZE + AGENT_PROCESS_SIZE];

    if (!make_room(log, AGENT_PROCESS_SIZE))
        return;
    agent_frame_header(record, AGENT_FRAME_PROCESS, AGENT_PROCESS_SIZE);
    (void)agent_process_encode(message, record + AGENT_HEADER_SIZE, AGENT_PROCESS_SIZE);
    (void)append(log, record, sizeof(record), NULL, 0);
}

void log_file_close(struct log_file *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
}

void log_file_remove(struct log_file *log)
{
    static const char *const suffixes[] = {".log", ".log.1"};
    char name[LOG_NAME_MAX];

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        make_name(&log->id, suffixes[i], name);
        (void)unlinkat(AGENT_FD_LOGS, name, 0);
    }
    log->pool->used -= above_share(log->size) + above_share(log->size_before);
    log->size = log->size_before = 0;
}

void log_file_leave(struct log_file *log)
{
    log->pool->used += log->size - above_share(log->size);
    log->pool->used += log->size_before - above_share(log->size_before);
}

int log_file_open(const struct log_file *log, uint32_t segment)
{
    char name[LOG_NAME_MAX];

    if (segment != log->segment && segment + 1 != log->segment) {
        errno = ENOENT;
        return -1;
    }
    make_name(&log->id, segment == log->segment ? ".log" : ".log.1", name);
    return openat(AGENT_FD_LOGS, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}
