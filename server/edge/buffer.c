#include "server/edge/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 2048 };

void edge_buffer_consume(struct edge_buffer *buffer, size_t size)
{
    buffer->start += size;
    if (buffer->start == buffer->end) {
        buffer->start = 0;
        buffer->end = 0;
    }
}

static void compact(struct edge_buffer *buffer)
{
    size_t used = edge_buffer_used(buffer);

    if (buffer->start == 0)
        return;
    memmove(buffer->data, buffer->data + buffer->start, used);
    buffer->start = 0;
    buffer->end = used;
}

bool edge_buffer_reserve(struct edge_buffer *buffer, size_t size, size_t max)
{
    size_t used = edge_buffer_used(buffer);
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
    char *data;

    if (edge_buffer_room(buffer) >= size)
        return true;
    if (size > max || used > max - size)
        return false;
    compact(buffer);
    if (edge_buffer_room(buffer) >= size)
        return true;
    while (capacity < used + size)
        capacity *= 2;
    if (capacity > max)
        capacity = max;
    data = realloc(buffer->data, capacity);
    if (!data)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

bool edge_buffer_append(struct edge_buffer *buffer, const void *data, size_t size, size_t max)
{
    if (!edge_buffer_reserve(buffer, size, max))
        return false;
    if (size > 0)
        memcpy(buffer->data + buffer->end, data, size);
    buffer->end += size;
    return true;
}

bool edge_buffer_printf(struct edge_buffer *buffer, size_t max, const char *format, ...)
{
    size_t room = edge_buffer_room(buffer);
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(room > 0 ? buffer->data + buffer->end : NULL, room, format, args);
    va_end(args);
    if (size < 0)
        return false;
    if ((size_t)size >= room) {
        if (!edge_buffer_reserve(buffer, (size_t)size + 1, max))
            return false;
        va_start(args, format);
        (void)vsnprintf(buffer->data + buffer->end, (size_t)size + 1, format, args);
        va_end(args);
    }
    buffer->end += (size_t)size;
    return true;
}

void edge_buffer_release(struct edge_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct edge_buffer){0};
}
