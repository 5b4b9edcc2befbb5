/*
 * Bounded cursors over the payloads of control frames (include/atoll/agent_proto.h). Both carry a
 * sticky failure, so that a codec is a straight list of fields with one check at its end. Pure
 * functions: nothing is allocated, views point into the caller's bytes.
 */
#ifndef LIB_AGENTPROTO_WIRE_H
#define LIB_AGENTPROTO_WIRE_H

#include <atoll/id.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_ERRNO_MAX = 4095 }; /* the largest of Linux (include/linux/err.h, MAX_ERRNO) */

struct wire_writer {
    uint8_t *data;
    size_t size;     /* bytes written */
    size_t capacity; /* bytes at `data` */
    bool failed;     /* something did not fit; the content is then meaningless */
};

struct wire_reader {
    const uint8_t *data;
    size_t size;
    size_t offset;
    bool failed; /* a field was cut off or broke a rule; every later get gives 0 or "" */
};

void wire_put_u32(struct wire_writer *writer, uint32_t value);
void wire_put_u64(struct wire_writer *writer, uint64_t value);
void wire_put_string(struct wire_writer *writer, const char *text);
void wire_put_id(struct wire_writer *writer, const struct id *id);

/* Bytes written; 0 when something did not fit. */
size_t wire_writer_size(const struct wire_writer *writer);

uint32_t wire_get_u32(struct wire_reader *reader);
uint64_t wire_get_u64(struct wire_reader *reader);
struct id wire_get_id(struct wire_reader *reader);

/* A string with at most `max` bytes, its zero byte counted. Never NULL; lives as long as the data.
 */
const char *wire_get_string(struct wire_reader *reader, size_t max);

bool wire_is_absolute(const char *path);

/* True when nothing failed and every byte was used. */
bool wire_reader_complete(const struct wire_reader *reader);

#endif
