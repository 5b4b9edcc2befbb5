#include "server/handlers/executor_answer.h"

#include "server/handlers/executor_text.h"
#include "server/services/executors.h"
#include "server/stream/stream.h"

#include <string.h>

enum {
    SMALL_ANSWER = 256 * 1024,
    PIECE = 32 * 1024,
    QUEUE = 256 * 1024,
    CLIENT_WAIT_MS = 30 * 1000, /* for a client that takes nothing */
};

bool executor_memory_take(void *user, size_t size)
{
    struct executor_memory *memory = user;
    const struct call *call = memory->call;
    size_t needed = (memory->size + size + EXECUTORS_PIECE - 1) / EXECUTORS_PIECE;
    unsigned more = (unsigned)(needed - memory->pieces);

    if (more > 0 && !executors_take_memory(call->services, &call->caller.tenant, more))
        return false;
    memory->size += size;
    memory->pieces += more;
    return true;
}

void executor_memory_done(struct executor_memory *memory)
{
    const struct call *call = memory->call;

    if (memory->pieces > 0)
        executors_give_memory(call->services, &call->caller.tenant, memory->pieces);
}

int executor_answer_begin(struct executor_answer *answer, struct call *call, size_t size,
                          struct error *err)
{
    *answer = (struct executor_answer){.call = call};
    if (size <= SMALL_ANSWER)
        return 0;
    if (stream_new(call->services->streams, QUEUE, &answer->stream, err) < 0)
        return -1;
    http_respond_pushed_stream(call->request, "application/json", answer->stream);
    return 0;
}

static void pass_on(struct executor_answer *answer)
{
    if (!answer->stream)
        return;
    answer->failed =
        answer->failed || answer->text.failed ||
        !stream_write(answer->stream, answer->text.data, answer->text.size, CLIENT_WAIT_MS);
    answer->text.size = 0;
}

void executor_answer_put(struct executor_answer *answer, const char *json)
{
    json_text_add(&answer->text, json, strlen(json));
}

void executor_answer_put_bytes(struct executor_answer *answer, const char *bytes, size_t size)
{
    while (size > 0 && !answer->failed) {
        size_t piece = size <= PIECE ? size : executor_text_whole(bytes, PIECE);

        executor_text_add(&answer->text, bytes, piece);
        pass_on(answer);
        bytes += piece;
        size -= piece;
    }
}

static int end_small(struct executor_answer *answer, struct error *err)
{
    return call_respond_text(answer->call, 200, &answer->text, err);
}

static int end_large(struct executor_answer *answer)
{
    pass_on(answer);
    if (answer->failed)
        stream_break(answer->stream);
    else
        stream_finish(answer->stream);
    stream_unref(answer->stream);
    return 0;
}

int executor_answer_end(struct executor_answer *answer, struct error *err)
{
    int status = answer->stream ? end_large(answer) : end_small(answer, err);

    json_text_free(&answer->text);
    return status;
}
