/*
 * A byte queue with one allocation: bytes are appended at the end and consumed at the start.
 *
 * It grows by doubling up to a limit that each caller names, so that a peer never decides how much
 * memory a connection holds. A zeroed struct is an empty buffer.
 */
#ifndef SERVER_EDGE_BUFFER_H
#define SERVER_EDGE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct edge_buffer {
    char *data;
    size_t start;
    size_t end;
    size_t capacity;
};

static inline size_t edge_buffer_used(const struct edge_buffer *buffer)
{
    return buffer->end - buffer->start;
}

/* First unconsumed byte; valid until the buffer changes. NULL while nothing was ever appended. */
static inline char *edge_buffer_bytes(const struct edge_buffer *buffer)
{
    return buffer->data ? buffer->data + buffer->start : NULL;
}

/* Free bytes behind the end; edge_buffer_reserve makes more. */
static inline size_t edge_buffer_room(const struct edge_buffer *buffer)
{
    return buffer->capacity - buffer->end;
}

/* Counts `size` bytes that were written behind the end. */
static inline void edge_buffer_commit(struct edge_buffer *buffer, size_t size)
{
    buffer->end += size;
}

void edge_buffer_consume(struct edge_buffer *buffer, size_t size);

/*
 * Makes room for `size` bytes behind the end. False when that would take a capacity over
 * `max`, or when there is no memory.
 */
bool edge_buffer_reserve(struct edge_buffer *buffer, size_t size, size_t max);

/* Appends a copy. False, and nothing appended, for the same reasons. */
bool edge_buffer_append(struct edge_buffer *buffer, const void *data, size_t size, size_t max);

/* Appends formatted text. False, and nothing appended, for the same reasons. */
bool edge_buffer_printf(struct edge_buffer *buffer, size_t max, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Gives the memory back; the buffer is empty afterwards and can be used again. */
void edge_buffer_release(struct edge_buffer *buffer);

#endif
