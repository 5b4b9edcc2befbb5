/*
 * The log of a process: a file of frames (PROCESS and OUTPUT of include/atoll/agent_proto.h) in the
 * log folder, which lies outside of the sandbox's mounts. Whoever reads the files, also from
 * outside, also after the agent is gone, finds every byte with its offset, and knows by the last
 * PROCESS whether the end was seen.
 *
 * A log is two files, each of half the limits: `<id>.log` takes what is new, `<id>.log.1` is the
 * one before. When the first is full it replaces the second, and the oldest output is gone. Nothing
 * is written twice, so that a reader never sees a byte change.
 *
 * All logs share one pool of bytes. A file may always have LOG_FILE_SHARE; what it has above that
 * it takes from the pool. While the pool is empty, LOG_FILE_SHARE is the limit of every file: the
 * oldest output of a log that writes more is gone as by its own limits, and goes back to the pool.
 */
#ifndef AGENT_LOG_FILE_H
#define AGENT_LOG_FILE_H

#include "lib/agentproto/message.h"

#include <stdbool.h>

enum { LOG_NAME_MAX = 2 * ID_BYTES + 7 }; /* "<32 hex digits>.log.1" and a NUL */

#define LOG_FILE_SHARE (AGENT_LOG_BYTES_MIN / 2)

struct log_pool {
    uint64_t max;  /* bytes */
    uint64_t used; /* at most `max`, unless by logs that were left behind */
};

struct log_file {
    int fd; /* of the newest file; -1: closed */
    struct id id;
    struct log_pool *pool; /* borrowed */
    uint64_t bytes_max;    /* of one file */
    uint32_t lines_max;    /* of one file */
    uint32_t segment;      /* number of the newest file, from 0 */
    uint32_t lines;        /* in the newest file */
    uint64_t size;         /* of the newest file */
    uint64_t size_before;  /* of the one before; 0: there is none */
    uint64_t begin;        /* offset of the oldest byte that is kept */
    uint64_t newest;       /* offset of the first byte in the newest file */
    uint64_t stream_end[2];
    bool lost; /* some output could not be written */
};

/* Makes the files' first. EEXIST when there is a log of this id; ENOTDIR without a log folder;
 * ENOSPC when logs that were left behind have taken more than the pool. 0 or an errno. */
int log_file_create(struct log_file *log, struct log_pool *pool, const struct id *id,
                    uint64_t bytes, uint32_t lines);

/* Appends output. What cannot be written is lost, and `lost` says so; the offsets count it. */
void log_file_output(struct log_file *log, enum agent_stream stream, const uint8_t *bytes,
                     size_t size);

/* Appends what is known of the process. */
void log_file_process(struct log_file *log, const struct agent_process_message *message);

/* No more will be written. */
void log_file_close(struct log_file *log);

/* Removes the files, and gives their bytes back to the pool. */
void log_file_remove(struct log_file *log);

/* The files stay after their process was forgotten: no other log gets their bytes any more. */
void log_file_leave(struct log_file *log);

/* The offset after the newest byte. */
uint64_t log_file_end(const struct log_file *log);

/* Opens the file of number `segment` for reading. The descriptor, or -1 and errno; ENOENT when that
 * is no longer kept. */
int log_file_open(const struct log_file *log, uint32_t segment);

#endif
