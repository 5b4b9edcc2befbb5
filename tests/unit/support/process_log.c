#include "tests/unit/support/process_log.h"

#include <atoll/cleanup.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

int log_folder_make(const char *state_dir, const struct id *sandbox, uint32_t generation)
{
    char id[ID_TEXT_SIZE];
    char path[256];
    int fd;

    id_format(sandbox, id);
    (void)snprintf(path, sizeof(path), "%s/logs", state_dir);
    (void)mkdir(path, 0755);
    (void)snprintf(path, sizeof(path), "%s/logs/%s", state_dir, id);
    (void)mkdir(path, 0755);
    (void)snprintf(path, sizeof(path), "%s/logs/%s/%u", state_dir, id, generation);
    assert_int_equal(mkdir(path, 0755), 0);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

void log_folder_remove(const char *path)
{
    assert_int_equal(nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

uint8_t *log_add_frame(struct log_writer *log, enum agent_frame_type type, size_t size)
{
    uint8_t *frame = log->bytes + log->size;

    assert_true(size <= sizeof(log->bytes) - log->size - AGENT_HEADER_SIZE);
    agent_frame_header(frame, type, (uint32_t)size);
    log->size += AGENT_HEADER_SIZE + size;
    return frame + AGENT_HEADER_SIZE;
}

void log_add_head(struct log_writer *log, uint32_t segment, uint64_t offset)
{
    const struct agent_log_message message = {
        .version = AGENT_LOG_VERSION,
        .segment = segment,
        .id = log->process,
        .offset = offset,
        .stdout_offset = offset,
    };

    (void)agent_log_encode(&message, log_add_frame(log, AGENT_FRAME_LOG, AGENT_LOG_SIZE),
                           AGENT_LOG_SIZE);
}

void log_add_output(struct log_writer *log, enum agent_stream stream, uint64_t offset,
                    const char *text)
{
    const struct agent_output_message message = {
        .stream = stream,
        .offset = offset,
        .stream_offset = offset,
    };
    uint8_t *payload = log_add_frame(log, AGENT_FRAME_OUTPUT, AGENT_OUTPUT_HEAD + strlen(text));

    (void)agent_output_encode(&message, payload, AGENT_OUTPUT_HEAD);
    memcpy(payload + AGENT_OUTPUT_HEAD, text, strlen(text));
}

static void add_process(struct log_writer *log, const struct agent_process_message *message)
{
    (void)agent_process_encode(message, log_add_frame(log, AGENT_FRAME_PROCESS, AGENT_PROCESS_SIZE),
                               AGENT_PROCESS_SIZE);
}

void log_add_state(struct log_writer *log, enum agent_process_state state)
{
    const struct agent_process_message message = {
        .id = log->process, .state = state, .attempts = 1};

    add_process(log, &message);
}

void log_add_end_at(struct log_writer *log, uint32_t status, uint64_t ended_usec)
{
    const struct agent_process_message message = {
        .id = log->process,
        .state = AGENT_PROCESS_ENDED,
        .attempts = 1,
        .status = status,
        .ended_usec = ended_usec,
        .wall_usec = 3000000,
        .user_usec = 600000,
        .system_usec = 400000,
    };

    add_process(log, &message);
}

void log_add_end(struct log_writer *log, uint32_t status)
{
    log_add_end_at(log, status, 0);
}

void log_put(struct log_writer *log, int folder, const char *suffix)
{
    char id[ID_TEXT_SIZE];
    char name[ID_TEXT_SIZE + 8];

    id_format(&log->process, id);
    (void)snprintf(name, sizeof(name), "%s.log%s", id, suffix);
    _cleanup_close_ int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, log->bytes, log->size), log->size);
    log->size = 0;
}
