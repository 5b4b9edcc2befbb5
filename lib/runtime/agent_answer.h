/*
 * The agent's answers to the requests of agent_client.h: checked against what was asked, and
 * gathered within its bounds.
 */
#ifndef LIB_RUNTIME_AGENT_ANSWER_H
#define LIB_RUNTIME_AGENT_ANSWER_H

#include "lib/agentproto/message.h"
#include "lib/runtime/agent_channel.h"

#include <atoll/sandbox.h>

/* Bytes that the agent sent, never more than `max`. */
struct agent_collected {
    char *data;
    size_t size;
    size_t capacity;
    uint64_t max;
    bool (*take_memory)(void *user, size_t size); /* as in struct agent_exec_request */
    void *memory_user;
};

/* The answers to some WRITEs and then, if `has_exec`, an EXEC. */
struct agent_conversation {
    const struct sandbox_file *files;
    size_t file_count;
    size_t files_answered;
    bool has_exec;
    bool failed; /* `failure` is that of the first operation that did */
    struct error failure;
    struct agent_collected out;
    struct agent_collected err;
    struct agent_exit_message exit;
};

/* The answer to one READ. */
struct agent_reading {
    bool failed;
    struct error failure;
    struct agent_collected content;
    uint64_t size; /* of the whole file */
};

/* For agent_channel_exchange; the context is a conversation, a reading. */
int agent_conversation_reply(void *context, const struct agent_frame *frame, bool *ret_done,
                             struct error *err);
int agent_reading_reply(void *context, const struct agent_frame *frame, bool *ret_done,
                        struct error *err);

/* The error of an agent that says what it may not. */
int agent_protocol_error(struct error *err);

/* The next frame that has arrived: 1; none is whole yet: 0; or -1, ERR_INTERNAL. It is valid until
 * the buffer is used again. */
int agent_next_frame(struct agent_buffer *buffer, struct agent_frame *ret_frame, struct error *err);

/* Decodes an ERROR frame into `ret_failure`. -1 when it is malformed. */
int agent_take_failure(const struct agent_frame *frame, struct error *ret_failure,
                       struct error *err);

/* The same for an operation on files: errors of the file's own have the field "path", or "target".
 * `unfit` is what EINVAL says of it. */
int agent_take_file_failure(const struct agent_frame *frame, const char *unfit,
                            struct error *ret_failure, struct error *err);

/* Hands over the bytes, with a NUL behind them. */
int agent_collected_take(struct agent_collected *collected, char **ret_data, size_t *ret_size,
                         struct error *err);

void agent_conversation_free(struct agent_conversation *conversation);
void agent_reading_free(struct agent_reading *reading);

#endif
