#include "tests/unit/support/stream_room.h"

#include "server/stream/registry.h"

size_t stream_room(struct stream *stream)
{
    size_t room = 0;

    (void)pthread_mutex_lock(&stream->lock);
    if (stream->state == STREAM_OPEN)
        room = stream->output.capacity - stream->output.used;
    (void)pthread_mutex_unlock(&stream->lock);
    return room;
}
