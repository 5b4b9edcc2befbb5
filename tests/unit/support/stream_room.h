/* How much of a stream's queue is free, for tests that fill one. */
#ifndef TESTS_UNIT_SUPPORT_STREAM_ROOM_H
#define TESTS_UNIT_SUPPORT_STREAM_ROOM_H

#include "server/stream/stream.h"

/* Bytes that a push may have now; 0 when the stream has ended. */
size_t stream_room(struct stream *stream);

#endif
