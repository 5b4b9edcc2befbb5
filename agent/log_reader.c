#include "agent/log_reader.h"

#include "lib/agentproto/frame.h"

#include <errno.h>
#include <unistd.h>

enum {
    HEAD_SIZE = AGENT_HEADER_SIZE + AGENT_OUTPUT_HEAD,
    SKIPS_MAX = 64, /* records passed over in one step */
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void log_reader_begin(struct log_reader *reader, const struct log_file *log, uint64_t offset,
                      uint32_t flags)
{
    *reader = (struct log_reader){
        .fd = -1,
        .offset = smaller(offset, log_file_end(log)),
        .flags = flags,
    };
}

void log_reader_end(struct log_reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    reader->fd = -1;
}

static int open_segment(struct log_reader *reader, const struct log_file *log, uint32_t segment)
{
    log_reader_end(reader);
    reader->fd = log_file_open(log, segment);
    if (reader->fd < 0)
        return -1;
    reader->segment = segment;
    reader->position = 0;
    /* Who has everything need not look at the records that are there. */
    if (segment == log->segment && reader->offset == log_file_end(log))
        reader->position = (off_t)log->size;
    return 0;
}

/* Sees to it that the reader is in a file that is kept, or in the first one with what it wants. */
static int find_segment(struct log_reader *reader, const struct log_file *log)
{
    uint32_t older = log->segment > 0 ? log->segment - 1 : 0;

    if (reader->fd >= 0 && reader->segment >= older)
        return 0;
    return open_segment(reader, log, reader->offset < log->newest ? older : log->segment);
}

/* True at the end of the reader's file: a record behind it is not there yet, or is in the next. */
static bool at_end(const struct log_reader *reader, const struct log_file *log)
{
    return reader->segment == log->segment && reader->position >= (off_t)log->size;
}

/* The record's frame header as it stands in the file. */
static bool parse_head(const uint8_t *head, uint8_t *ret_type, size_t *ret_size)
{
    *ret_size = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
    *ret_type = head[4];
    return *ret_size <= AGENT_FRAME_MAX && head[3] == 0;
}

static bool wants(const struct log_reader *reader, const struct agent_output_message *output)
{
    uint32_t refused =
        output->stream == AGENT_STREAM_STDOUT ? AGENT_ATTACH_NO_STDOUT : AGENT_ATTACH_NO_STDERR;

    return !(reader->flags & refused) && output->offset + output->size > reader->offset;
}

/* Passes on what the outbox takes of the record at the reader's position. */
static enum log_reader_step send_output(struct log_reader *reader,
                                        struct agent_output_message *output, struct outbox *outbox)
{
    uint64_t passed = reader->offset > output->offset ? reader->offset - output->offset : 0;
    off_t from = reader->position + HEAD_SIZE + (off_t)passed;
    size_t room;
    uint8_t *space = outbox_space(outbox, OUTBOX_DATA_MIN, &room);
    ssize_t got;

    if (!space)
        return LOG_READER_WAITS;
    output->offset += passed;
    output->stream_offset += passed;
    output->size -= (size_t)passed;
    got = pread(reader->fd, space + AGENT_OUTPUT_HEAD,
                smaller(room - AGENT_OUTPUT_HEAD, output->size), from);
    if (got <= 0) {
        errno = got < 0 ? errno : EIO;
        return LOG_READER_FAILED;
    }
    (void)agent_output_encode(output, space, AGENT_OUTPUT_HEAD);
    outbox_commit(outbox, AGENT_FRAME_OUTPUT, AGENT_OUTPUT_HEAD + (size_t)got);
    reader->offset = output->offset + (uint64_t)got;
    if ((size_t)got == output->size)
        reader->position = from + got;
    return LOG_READER_MOVED;
}

/* One record; LOG_READER_AT_END when there is none in this file. Every record is at least as long
 * as the head that is read. */
static enum log_reader_step read_record(struct log_reader *reader, struct outbox *outbox,
                                        bool *ret_skipped)
{
    uint8_t head[HEAD_SIZE];
    struct agent_output_message output;
    ssize_t got = pread(reader->fd, head, sizeof(head), reader->position);
    size_t size;
    uint8_t type;

    if (got < 0)
        return LOG_READER_FAILED;
    if (got < HEAD_SIZE)
        return LOG_READER_AT_END;
    if (!parse_head(head, &type, &size)) {
        errno = EBADMSG;
        return LOG_READER_FAILED;
    }
    if (type == AGENT_FRAME_OUTPUT &&
        agent_output_decode(head + AGENT_HEADER_SIZE, size, &output) && wants(reader, &output))
        return send_output(reader, &output, outbox);
    *ret_skipped = true;
    reader->position += (off_t)(AGENT_HEADER_SIZE + size);
    return LOG_READER_MOVED;
}

enum log_reader_step log_reader_pump(struct log_reader *reader, const struct log_file *log,
                                     struct outbox *outbox)
{
    for (unsigned i = 0; i < SKIPS_MAX; i++) {
        enum log_reader_step step;
        bool skipped = false;

        if (find_segment(reader, log) < 0)
            return LOG_READER_FAILED;
        if (at_end(reader, log))
            return LOG_READER_AT_END;
        step = read_record(reader, outbox, &skipped);
        if (step == LOG_READER_AT_END && reader->segment == log->segment)
            return LOG_READER_AT_END;
        if (step == LOG_READER_AT_END && open_segment(reader, log, reader->segment + 1) < 0)
            return LOG_READER_FAILED;
        if (step != LOG_READER_AT_END && !skipped)
            return step;
    }
    return LOG_READER_MOVED;
}
