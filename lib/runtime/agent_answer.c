#include "lib/runtime/agent_answer.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int agent_protocol_error(struct error *err)
{
    return error_set(err, ERR_INTERNAL, "the sandbox's agent broke its protocol");
}

int agent_next_frame(struct agent_buffer *buffer, struct agent_frame *ret_frame, struct error *err)
{
    switch (agent_buffer_next(buffer, ret_frame)) {
    case AGENT_FRAME_PARTIAL:
        return 0;
    case AGENT_FRAME_BROKEN:
        return agent_protocol_error(err);
    case AGENT_FRAME_WHOLE:
        break;
    }
    return 1;
}

static const char *stage_meaning(uint32_t stage)
{
    switch (stage) {
#define STAGE_MEANING(symbol, value, meaning)                                                      \
    case (symbol):                                                                                 \
        return (meaning);
        AGENT_STAGES(STAGE_MEANING)
#undef STAGE_MEANING
    default:
        return "the operation failed";
    }
}

static enum error_code file_error_code(uint32_t errnum)
{
    switch (errnum) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
        return ERR_INSUFFICIENT_STORAGE;
    case EIO:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return ERR_INTERNAL;
    default:
        return ERR_INVALID_FIELD;
    }
}

static enum error_code table_error_code(uint32_t errnum)
{
    switch (errnum) {
    case ESRCH:
        return ERR_NOT_FOUND;
    case EEXIST:
    case EBUSY:
        return ERR_CONFLICT;
    case ENOSPC:
        return ERR_TOO_MANY;
    default:
        return ERR_UNAVAILABLE;
    }
}

static enum error_code watch_error_code(uint32_t errnum)
{
    return errnum == EUSERS ? ERR_TOO_MANY : ERR_UNAVAILABLE;
}

static enum error_code failure_code(const struct agent_error_message *message)
{
    switch (message->stage) {
    case AGENT_STAGE_FILE:
        return file_error_code(message->errnum);
    case AGENT_STAGE_USER:
    case AGENT_STAGE_CWD:
    case AGENT_STAGE_EXEC:
        return ERR_NOT_POSSIBLE;
    case AGENT_STAGE_PROCESS:
        return ERR_UNAVAILABLE;
    case AGENT_STAGE_TABLE:
        return table_error_code(message->errnum);
    case AGENT_STAGE_INPUT:
    case AGENT_STAGE_SIGNAL:
    case AGENT_STAGE_STOPPING:
        return ERR_CONFLICT;
    case AGENT_STAGE_WATCH:
        return watch_error_code(message->errnum);
    default:
        return ERR_INTERNAL;
    }
}

/* What requests call the thing at fault, "" where it is none of theirs. */
static const char *field_at_fault(uint32_t stage)
{
    switch (stage) {
    case AGENT_STAGE_USER:
        return "user";
    case AGENT_STAGE_CWD:
        return "cwd";
    default:
        return "";
    }
}

/* What the kernel calls these would say nothing of a user, or of input. */
static const char *user_reason(uint32_t errnum)
{
    switch (errnum) {
    case ENOENT:
        return "it has none of this name";
    case EINVAL:
        return "a user is a name, or uid:gid";
    default:
        return NULL;
    }
}

static const char *input_reason(uint32_t errnum)
{
    switch (errnum) {
    case EPIPE:
        return "its stdin is closed, or was never open";
    case ENOTTY:
        return "it has no terminal";
    case EINVAL:
        return "a terminal is not closed; what is typed ends it";
    default:
        return NULL;
    }
}

/* fork(2): EAGAIN is the sandbox's own limit, as pids.max of its control group is. */
static const char *process_reason(uint32_t errnum)
{
    if (errnum == EAGAIN)
        return "the sandbox has as many as it may have (sandbox.max_processes)";
    return NULL;
}

static const char *failure_reason(const struct agent_error_message *message)
{
    const char *reason = NULL;

    if (message->stage == AGENT_STAGE_USER)
        reason = user_reason(message->errnum);
    else if (message->stage == AGENT_STAGE_INPUT)
        reason = input_reason(message->errnum);
    else if (message->stage == AGENT_STAGE_PROCESS)
        reason = process_reason(message->errnum);
    if (!reason)
        reason = strerrordesc_np((int)message->errnum);
    return reason ? reason : "unknown error";
}

int agent_take_failure(const struct agent_frame *frame, struct error *ret_failure,
                       struct error *err)
{
    struct agent_error_message message;

    if (!agent_error_decode(frame->payload, frame->size, &message))
        return agent_protocol_error(err);
    (void)error_set_field(ret_failure, failure_code(&message), field_at_fault(message.stage),
                          "%s: %s", stage_meaning(message.stage), failure_reason(&message));
    return 0;
}

/* Makes room for `needed` bytes and a NUL, and for as many again. */
static int grow(struct agent_collected *collected, size_t needed, struct error *err)
{
    size_t capacity = needed * 2 + 1 < collected->max ? needed * 2 + 1 : collected->max + 1;
    char *larger;

    if (collected->take_memory &&
        !collected->take_memory(collected->memory_user, capacity - collected->capacity))
        return error_set(err, ERR_INSUFFICIENT_STORAGE,
                         "the outputs of commands need too much memory at present");
    larger = realloc(collected->data, capacity);
    if (!larger)
        return error_set_errno(err, ENOMEM, "cannot keep what the sandbox sent");
    collected->data = larger;
    collected->capacity = capacity;
    return 0;
}

/* Of an operation on files: what is wrong is the path's, not the service's. */
static enum error_code path_error_code(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case EEXIST:
    case ENOTEMPTY:
    case EISDIR:
    case ENOTDIR:
    case EBUSY:
    case ETXTBSY:
        return ERR_CONFLICT;
    case ELOOP:
    case ENAMETOOLONG:
        return ERR_NOT_POSSIBLE;
    case ESTALE: /* what the agent says of a condition */
        return ERR_PRECONDITION;
    case ENOSPC:
    case EDQUOT:
        return ERR_INSUFFICIENT_STORAGE;
    case EIO:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return ERR_UNAVAILABLE;
    default:
        return ERR_NOT_POSSIBLE;
    }
}

static const char *path_reason(const struct agent_error_message *message, const char *unfit)
{
    switch (message->errnum) {
    case ESTALE:
        return "it is not the file that the request names";
    case EINVAL:
        return unfit;
    default:
        return failure_reason(message);
    }
}

int agent_take_file_failure(const struct agent_frame *frame, const char *unfit,
                            struct error *ret_failure, struct error *err)
{
    struct agent_error_message message;
    bool of_target;

    if (!agent_error_decode(frame->payload, frame->size, &message))
        return agent_protocol_error(err);
    of_target = message.stage == AGENT_STAGE_TARGET;
    if (!of_target && message.stage != AGENT_STAGE_FILE)
        return agent_take_failure(frame, ret_failure, err);
    (void)error_set_field(ret_failure, path_error_code((int)message.errnum),
                          of_target ? "target" : "path", "%s", path_reason(&message, unfit));
    return 0;
}

static int collect(struct agent_collected *collected, const struct agent_frame *frame,
                   struct error *err)
{
    size_t needed = collected->size + frame->size;

    if (frame->size == 0 || needed > collected->max)
        return agent_protocol_error(err);
    if (needed + 1 > collected->capacity && grow(collected, needed, err) < 0)
        return -1;
    memcpy(collected->data + collected->size, frame->payload, frame->size);
    collected->size = needed;
    return 0;
}

/* The bytes with a NUL behind them, handed to the caller. */
int agent_collected_take(struct agent_collected *collected, char **ret_data, size_t *ret_size,
                         struct error *err)
{
    if (!collected->data)
        collected->data = malloc(1);
    if (!collected->data)
        return error_set_errno(err, ENOMEM, "cannot keep what the sandbox sent");
    collected->data[collected->size] = '\0';
    *ret_size = collected->size;
    *ret_data = TAKE_PTR(collected->data);
    return 0;
}

static void keep_failure(struct agent_conversation *conversation, const struct error *failure)
{
    if (!conversation->failed)
        conversation->failure = *failure;
    conversation->failed = true;
}

static int on_write_answer(struct agent_conversation *conversation, const struct agent_frame *frame,
                           struct error *err)
{
    const struct sandbox_file *file = &conversation->files[conversation->files_answered++];
    struct error failure;
    uint64_t written;

    if (frame->type == AGENT_FRAME_ERROR) {
        if (agent_take_failure(frame, &failure, err) < 0)
            return -1;
        (void)error_wrap(&failure, "cannot write %.255s", file->path);
        keep_failure(conversation, &failure);
        return 0;
    }
    if (frame->type != AGENT_FRAME_DONE ||
        !agent_done_decode(frame->payload, frame->size, &written) || written != file->size)
        return agent_protocol_error(err);
    return 0;
}

static int on_exec_answer(struct agent_conversation *conversation, const struct agent_frame *frame,
                          bool *ret_done, struct error *err)
{
    struct error failure;

    switch (frame->type) {
    case AGENT_FRAME_STDOUT:
        return collect(&conversation->out, frame, err);
    case AGENT_FRAME_STDERR:
        return collect(&conversation->err, frame, err);
    case AGENT_FRAME_EXIT:
        if (!agent_exit_decode(frame->payload, frame->size, &conversation->exit))
            return agent_protocol_error(err);
        *ret_done = true;
        return 0;
    case AGENT_FRAME_ERROR:
        if (agent_take_failure(frame, &failure, err) < 0)
            return -1;
        keep_failure(conversation, &failure);
        *ret_done = true;
        return 0;
    default:
        return agent_protocol_error(err);
    }
}

int agent_conversation_reply(void *context, const struct agent_frame *frame, bool *ret_done,
                             struct error *err)
{
    struct agent_conversation *conversation = context;

    if (conversation->files_answered == conversation->file_count)
        return on_exec_answer(conversation, frame, ret_done, err);
    if (on_write_answer(conversation, frame, err) < 0)
        return -1;
    *ret_done = conversation->files_answered == conversation->file_count && !conversation->has_exec;
    return 0;
}

int agent_reading_reply(void *context, const struct agent_frame *frame, bool *ret_done,
                        struct error *err)
{
    struct agent_reading *reading = context;

    switch (frame->type) {
    case AGENT_FRAME_DATA:
        return collect(&reading->content, frame, err);
    case AGENT_FRAME_DONE:
        if (!agent_done_decode(frame->payload, frame->size, &reading->size))
            return agent_protocol_error(err);
        break;
    case AGENT_FRAME_ERROR:
        if (agent_take_failure(frame, &reading->failure, err) < 0)
            return -1;
        reading->failed = true;
        break;
    default:
        return agent_protocol_error(err);
    }
    *ret_done = true;
    return 0;
}

void agent_conversation_free(struct agent_conversation *conversation)
{
    free(conversation->out.data);
    free(conversation->err.data);
}

void agent_reading_free(struct agent_reading *reading)
{
    free(reading->content.data);
}
