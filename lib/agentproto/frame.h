/*
 * Frames of the agent's protocol in a byte stream: headers, and the reassembly of whole frames from
 * whatever pieces the socket gives. Used by both sides; nothing is allocated.
 */
#ifndef LIB_AGENTPROTO_FRAME_H
#define LIB_AGENTPROTO_FRAME_H

#include <atoll/agent_proto.h>
#include <stddef.h>
#include <stdint.h>

/* A whole frame. `payload` points into the buffer that it was taken from. */
struct agent_frame {
    uint8_t type; /* not yet checked against enum agent_frame_type */
    uint32_t size;
    const uint8_t *payload;
};

enum agent_frame_status {
    AGENT_FRAME_WHOLE,
    AGENT_FRAME_PARTIAL, /* more bytes are needed */
    AGENT_FRAME_BROKEN,  /* a rule of the header is broken: end the connection */
};

enum { AGENT_BUFFER_SIZE = AGENT_HEADER_SIZE + AGENT_FRAME_MAX };

/* A window of the stream; holds at least one frame of the largest size. Zeroed, it is empty. */
struct agent_buffer {
    size_t start; /* first byte that was not taken */
    size_t end;   /* end of what was received */
    uint8_t data[AGENT_BUFFER_SIZE];
};

/* Writes a header of AGENT_HEADER_SIZE bytes. `size` is at most AGENT_FRAME_MAX. */
void agent_frame_header(uint8_t *header, enum agent_frame_type type, uint32_t size);

/*
 * Room for received bytes; moves what was not taken to the front, so frames taken before are no
 * longer valid. At least one byte unless a whole frame waits.
 */
uint8_t *agent_buffer_space(struct agent_buffer *buffer, size_t *ret_size);

/* Tells that `size` bytes were stored in the space. */
void agent_buffer_filled(struct agent_buffer *buffer, size_t size);

/* Takes the next frame. `ret_frame` is set only with AGENT_FRAME_WHOLE. */
enum agent_frame_status agent_buffer_next(struct agent_buffer *buffer,
                                          struct agent_frame *ret_frame);

#endif
