/*
 * Writes logs of processes as an agent does, or would not (docs/agent-protocol.md, "Log files").
 * Failures fail the test.
 */
#ifndef TESTS_UNIT_SUPPORT_PROCESS_LOG_H
#define TESTS_UNIT_SUPPORT_PROCESS_LOG_H

#include "lib/agentproto/frame.h"
#include "lib/agentproto/message.h"

#include <atoll/id.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_WRITER_MAX = 512 * 1024 };

/* A file of the log of `process` that is being made. */
struct log_writer {
    struct id process;
    size_t size;
    uint8_t bytes[LOG_WRITER_MAX];
};

/* The folder <state_dir>/logs/<sandbox>/<generation>, made now; the caller closes it. */
int log_folder_make(const char *state_dir, const struct id *sandbox, uint32_t generation);

/* Removes a folder and all that is in it. */
void log_folder_remove(const char *path);

/* A frame's header; returns where its `size` bytes are to be written. */
uint8_t *log_add_frame(struct log_writer *log, enum agent_frame_type type, size_t size);

void log_add_head(struct log_writer *log, uint32_t segment, uint64_t offset);

/* Output whose offset in its stream is `offset` too. */
void log_add_output(struct log_writer *log, enum agent_stream stream, uint64_t offset,
                    const char *text);

void log_add_state(struct log_writer *log, enum agent_process_state state);

/* How it ended: a status as wait(2) gives it, after 3 s with 1 s of processor time. */
void log_add_end(struct log_writer *log, uint32_t status);

/* The same with the time of the end, Unix time. */
void log_add_end_at(struct log_writer *log, uint32_t status, uint64_t ended_usec);

/* Writes the file `<process>.log<suffix>`, and begins a new one. */
void log_put(struct log_writer *log, int folder, const char *suffix);

#endif
