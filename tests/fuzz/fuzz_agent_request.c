/*
 * What a client may send to the agent: reassembly from pieces of any size, and the decoders. The
 * first byte of the input is the size of the pieces.
 */
#include "lib/agentproto/inbox.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every string to its end, so that the sanitizer sees one that has none. */
static size_t touch_command(const struct agent_command *command)
{
    size_t length = strlen(command->cwd) + strlen(command->user);

    for (uint32_t i = 0; i < command->argc; i++)
        length += strlen(command->argv[i]);
    for (uint32_t i = 0; i < command->envc; i++)
        length += strlen(command->env[i]);
    if (command->argv[command->argc] || command->env[command->envc])
        abort();
    return length;
}

static size_t touch(enum agent_event event, const struct agent_event_data *data)
{
    size_t sum = 0;

    switch (event) {
    case AGENT_EVENT_EXEC:
        return touch_command(&data->exec.command);
    case AGENT_EVENT_START:
        return touch_command(&data->start.command);
    case AGENT_EVENT_WRITE:
        return strlen(data->write.path) + strlen(data->write.owner);
    case AGENT_EVENT_READ:
        return strlen(data->read.path) + strlen(data->read.user);
    case AGENT_EVENT_FILE:
        return strlen(data->file.path) + strlen(data->file.target) + strlen(data->file.user);
    case AGENT_EVENT_SEARCH:
        return strlen(data->search.path) + strlen(data->search.user) + strlen(data->search.name) +
               strlen(data->search.content);
    case AGENT_EVENT_DATA:
        for (size_t i = 0; i < data->data.size; i++)
            sum += data->data.bytes[i];
        return sum;
    default:
        return 0;
    }
}

/* True until the connection would be ended. */
static bool consume(struct agent_inbox *inbox)
{
    for (;;) {
        struct agent_event_data data;
        enum agent_event event = agent_inbox_next(inbox, &data);

        if (event == AGENT_EVENT_NONE || event == AGENT_EVENT_BROKEN)
            return event == AGENT_EVENT_NONE;
        if (touch(event, &data) > AGENT_REQUEST_MAX * UINT8_MAX)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct agent_inbox inbox;
    size_t piece;

    if (size == 0)
        return 0;
    inbox.state = AGENT_INBOX_IDLE;
    inbox.buffer.start = inbox.buffer.end = 0;
    piece = (size_t)*data + 1;
    data++;
    size--;
    while (size > 0) {
        size_t room;
        uint8_t *space = agent_buffer_space(&inbox.buffer, &room);
        size_t part = size < piece ? size : piece;

        if (room == 0)
            abort(); /* a whole frame waits that was not taken */
        part = part < room ? part : room;
        memcpy(space, data, part);
        agent_buffer_filled(&inbox.buffer, part);
        data += part;
        size -= part;
        if (!consume(&inbox))
            return 0;
    }
    return 0;
}
