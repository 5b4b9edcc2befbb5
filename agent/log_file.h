/*
 * The log of a process: a file of frames (PROCESS and OUTPUT of include/atoll/agent_proto.h) in the
 * log folder, which lies outside of the sandbox's mounts. Whoever reads the files, also from
 * outside, also after the agent is gone, finds every byte with its offset, and knows by the last
 * PROCESS whether the end was seen.
 *
 * A log is two files, each of half the limits: `<id>.log` takes what is new, `<id>.log.1` is the
 * one before. When the first is full it replaces the second, and the oldest output is gone. Nothing
 * is written twice, so that a reader never sees a byte change.
 */
#ifndef AGENT_LOG_FILE_H
#define AGENT_LOG_FILE_H

#include "lib/agentproto/message.h"

#include <stdbool.h>

enum { LOG_NAME_MAX = 2 * ID_BYTES + 7 }; /* "<32 hex digits>.log.1" and a NUL */

struct log_file {
    int fd; /* of the newest file; -1: closed */
    struct id id;
    uint64_t bytes_max; /* of one file */
    uint32_t lines_max; /* of one file */
    uint32_t segment;   /* number of the newest file, from 0 */
    uint32_t lines;     /* in the newest file */
    uint64_t size;      /* of the newest file */
    uint64_t begin;     /* offset of the oldest byte that is kept */
    uint64_t newest;    /* offset of the first byte in the newest file */
    uint64_t stream_end[2];
    bool lost; /* some output could not be written */
};

/* Makes the files' first. EEXIST when there is a log of this id; ENOTDIR without a log folder. 0 or
 * an errno. */
int log_file_create(struct log_file *log, const struct id *id, uint64_t bytes, uint32_t lines);

/* Appends output. What cannot be written is lost, and `lost` says so; the offsets count it. */
void log_file_output(struct log_file *log, enum agent_stream stream, const uint8_t *bytes,
                     size_t size);

/* Appends what is known of the process. */
void log_file_process(struct log_file *log, const struct agent_process_message *message);

/* No more will be written. */
void log_file_close(struct log_file *log);

void log_file_remove(const struct log_file *log);

/* The offset after the newest byte. */
uint64_t log_file_end(const struct log_file *log);

/* Opens the file of number `segment` for reading. The descriptor, or -1 and errno; ENOENT when that
 * is no longer kept. */
int log_file_open(const struct log_file *log, uint32_t segment);

#endif
