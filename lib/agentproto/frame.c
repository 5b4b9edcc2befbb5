#include "lib/agentproto/frame.h"

#include <string.h>

void agent_frame_header(uint8_t *header, enum agent_frame_type type, uint32_t size)
{
    for (size_t i = 0; i < 4; i++)
        header[i] = (uint8_t)(size >> (8 * i));
    header[4] = (uint8_t)type;
    header[5] = AGENT_PROTO_VERSION;
    header[6] = 0;
    header[7] = 0;
}

uint8_t *agent_buffer_space(struct agent_buffer *buffer, size_t *ret_size)
{
    if (buffer->start > 0) {
        memmove(buffer->data, buffer->data + buffer->start, buffer->end - buffer->start);
        buffer->end -= buffer->start;
        buffer->start = 0;
    }
    *ret_size = sizeof(buffer->data) - buffer->end;
    return buffer->data + buffer->end;
}

void agent_buffer_filled(struct agent_buffer *buffer, size_t size)
{
    buffer->end += size;
}

enum agent_frame_status agent_buffer_next(struct agent_buffer *buffer,
                                          struct agent_frame *ret_frame)
{
    const uint8_t *header = buffer->data + buffer->start;
    size_t available = buffer->end - buffer->start;
    uint32_t size;

    if (available < AGENT_HEADER_SIZE)
        return AGENT_FRAME_PARTIAL;
    size = (uint32_t)header[0] | (uint32_t)header[1] << 8 | (uint32_t)header[2] << 16 |
           (uint32_t)header[3] << 24;
    if (size > AGENT_FRAME_MAX || header[5] != AGENT_PROTO_VERSION || header[6] != 0 ||
        header[7] != 0)
        return AGENT_FRAME_BROKEN;
    if (available - AGENT_HEADER_SIZE < size)
        return AGENT_FRAME_PARTIAL;
    *ret_frame = (struct agent_frame){
        .type = header[4],
        .size = size,
        .payload = header + AGENT_HEADER_SIZE,
    };
    buffer->start += AGENT_HEADER_SIZE + size;
    return AGENT_FRAME_WHOLE;
}
