/*
 * Output read back from a log, by any number of readers, each at its own pace and none in the
 * writer's way. A reader that is overtaken by the log's limits goes on with the oldest byte that is
 * kept: the offsets show the gap.
 */
#ifndef AGENT_LOG_READER_H
#define AGENT_LOG_READER_H

#include "agent/log_file.h"
#include "agent/outbox.h"

#include <sys/types.h>

struct log_reader {
    int fd;           /* of the file that is read; -1: none yet */
    uint32_t segment; /* its number */
    off_t position;   /* of the next record */
    uint64_t offset;  /* of the next byte wanted */
    uint32_t flags;   /* AGENT_ATTACH_NO_* */
};

enum log_reader_step {
    LOG_READER_MOVED,
    LOG_READER_WAITS,  /* the outbox is full */
    LOG_READER_AT_END, /* all that was written is passed on */
    LOG_READER_FAILED, /* errno says why */
};

/* A reader from `offset` on; AGENT_ATTACH_END is the log's end. */
void log_reader_begin(struct log_reader *reader, const struct log_file *log, uint64_t offset,
                      uint32_t flags);

/* Puts the next OUTPUT into the outbox. */
enum log_reader_step log_reader_pump(struct log_reader *reader, const struct log_file *log,
                                     struct outbox *outbox);

void log_reader_end(struct log_reader *reader);

#endif
