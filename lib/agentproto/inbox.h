/*
 * What a client may say when: the agent's receiving half of the protocol as a pure state machine.
 * Bytes go into `buffer`, events come out; every frame that is not allowed in the present state
 * gives AGENT_EVENT_BROKEN, after which the connection must be ended.
 */
#ifndef LIB_AGENTPROTO_INBOX_H
#define LIB_AGENTPROTO_INBOX_H

#include "lib/agentproto/frame.h"
#include "lib/agentproto/message.h"

enum agent_event {
    AGENT_EVENT_NONE, /* nothing whole is there */
    AGENT_EVENT_PING,
    AGENT_EVENT_EXEC,
    AGENT_EVENT_WRITE,
    AGENT_EVENT_READ,
    AGENT_EVENT_START,
    AGENT_EVENT_LIST,
    AGENT_EVENT_DISK,
    AGENT_EVENT_SIGNAL,
    AGENT_EVENT_INPUT,
    AGENT_EVENT_RESIZE,
    AGENT_EVENT_WAIT,
    AGENT_EVENT_ATTACH,
    AGENT_EVENT_FORGET,
    AGENT_EVENT_STOP,
    AGENT_EVENT_FILE, /* one of AGENT_FILE_REQUESTS */
    AGENT_EVENT_SEARCH,
    AGENT_EVENT_DATA, /* body of an EXEC with stdin, of a WRITE or of an INPUT */
    AGENT_EVENT_END,  /* the body is whole */
    AGENT_EVENT_BROKEN,
};

/* Views of the event at hand; valid until agent_buffer_space or the next event. */
struct agent_event_data {
    union {
        struct agent_exec_message exec; /* argv and env are the inbox's arrays */
        struct agent_write_message write;
        struct agent_read_message read;
        struct agent_start_message start; /* as exec */
        struct agent_signal_message signal;
        struct agent_input_message input;
        struct agent_resize_message resize;
        struct agent_wait_message wait;
        struct agent_attach_message attach;
        struct agent_forget_message forget;
        struct agent_stop_message stop;
        struct agent_file_message file;
        struct agent_search_message search;
        struct {
            const uint8_t *bytes;
            size_t size;
        } data;
    };
};

/* The agent may add so many variables to the environment that a client sent. */
enum { AGENT_ENV_DEFAULTS = 3 };

/* About 1.2 MB, of which only what is used gets touched. Zeroed, it is ready. */
struct agent_inbox {
    enum { AGENT_INBOX_IDLE, AGENT_INBOX_JOINING, AGENT_INBOX_BODY } state;
    uint8_t request_type; /* EXEC or START, while it is joined */
    size_t request_size;  /* bytes joined so far */
    size_t request_total; /* bytes announced */
    struct agent_buffer buffer;
    const char *argv[AGENT_ARGS_MAX + 1];
    const char *env[AGENT_ARGS_MAX + AGENT_ENV_DEFAULTS + 1];
    uint8_t request[AGENT_REQUEST_MAX];
};

/* Takes the next event out of the buffer. */
enum agent_event agent_inbox_next(struct agent_inbox *inbox, struct agent_event_data *ret_data);

#endif
