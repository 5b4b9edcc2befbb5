#include "lib/runtime/agent_archive.h"

#include "lib/agentproto/message.h"
#include "lib/base/util.h"
#include "lib/runtime/agent_answer.h"
#include "lib/runtime/agent_check.h"
#include "lib/runtime/agent_client_private.h"

#include <atoll/archive_proto.h>
#include <atoll/cleanup.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
    REQUEST_MAX = 1024 + AGENT_USER_MAX + AGENT_PATH_MAX,
    ARGUMENTS_MAX = 4,
    TAIL_MAX = 64, /* of the last line on stdout */
};

/* A run of the archive program. */
struct run {
    const struct agent_archive_sink *sink; /* NULL: stdout is kept, its end that is */
    char tail[TAIL_MAX];
    size_t tail_size;
    char reason[ARCHIVE_REASON_MAX + 1];
    size_t reason_size;
    bool failed; /* it did not run */
    struct error failure;
    struct agent_exit_message exit;
};

/* Keeps the last bytes. */
static void keep_tail(struct run *run, const uint8_t *data, size_t size)
{
    size_t kept;

    if (size >= TAIL_MAX) {
        memcpy(run->tail, data + size - TAIL_MAX, TAIL_MAX);
        run->tail_size = TAIL_MAX;
        return;
    }
    kept = run->tail_size + size > TAIL_MAX ? TAIL_MAX - size : run->tail_size;
    memmove(run->tail, run->tail + run->tail_size - kept, kept);
    memcpy(run->tail + kept, data, size);
    run->tail_size = kept + size;
}

/* Keeps the first bytes of what can be shown: it goes into an answer. */
static void keep_reason(struct run *run, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size && run->reason_size < ARCHIVE_REASON_MAX; i++)
        run->reason[run->reason_size++] = data[i] >= 0x20 && data[i] < 0x7f ? (char)data[i] : '?';
}

static int on_output(struct run *run, const struct agent_frame *frame, struct error *err)
{
    if (frame->size == 0)
        return agent_protocol_error(err);
    if (run->sink)
        return run->sink->piece(run->sink->context, frame->payload, frame->size, err);
    keep_tail(run, frame->payload, frame->size);
    return 0;
}

static int take_failure(struct run *run, const struct agent_frame *frame, struct error *err)
{
    struct agent_error_message message;

    if (agent_take_failure(frame, &run->failure, err) < 0)
        return -1;
    if (agent_error_decode(frame->payload, frame->size, &message) &&
        message.stage == AGENT_STAGE_EXEC)
        (void)error_set(&run->failure, ERR_NOT_POSSIBLE,
                        "the sandbox was started without an archive program: start it anew");
    return 0;
}

static int on_answer(void *context, const struct agent_frame *frame, bool *ret_done,
                     struct error *err)
{
    struct run *run = context;

    switch (frame->type) {
    case AGENT_FRAME_STDOUT:
        return on_output(run, frame, err);
    case AGENT_FRAME_STDERR:
        keep_reason(run, frame->payload, frame->size);
        return 0;
    case AGENT_FRAME_EXIT:
        *ret_done = true;
        return agent_exit_decode(frame->payload, frame->size, &run->exit)
                   ? 0
                   : agent_protocol_error(err);
    case AGENT_FRAME_ERROR:
        *ret_done = run->failed = true;
        return take_failure(run, frame, err);
    default:
        return agent_protocol_error(err);
    }
}

static enum error_code code_of(int status)
{
    switch ((enum archive_exit)status) {
    case ARCHIVE_MALFORMED:
    case ARCHIVE_UNSAFE:
        return ERR_NOT_POSSIBLE;
    case ARCHIVE_TOO_MANY:
        return ERR_TOO_LARGE;
    case ARCHIVE_NOT_FOUND:
        return ERR_NOT_FOUND;
    case ARCHIVE_DENIED:
        return ERR_PERMISSION;
    case ARCHIVE_CONFLICT:
        return ERR_CONFLICT;
    case ARCHIVE_FULL:
        return ERR_INSUFFICIENT_STORAGE;
    default:
        return ERR_UNAVAILABLE;
    }
}

static int judge(const struct run *run, struct error *err)
{
    int status = (int)run->exit.status;

    if (run->failed) {
        *err = run->failure;
        return -1;
    }
    if (WIFSIGNALED(status))
        return error_set_field(err, ERR_NOT_POSSIBLE, "path",
                               "the archive program was ended by signal %d: its memory or "
                               "processes are limited by the sandbox's",
                               WTERMSIG(status));
    if (WEXITSTATUS(status) == ARCHIVE_DONE)
        return 0;
    return error_set_field(err, code_of(WEXITSTATUS(status)), "path", "%s",
                           run->reason_size > 0 ? run->reason : "the archive program failed");
}

static int add_request(struct agent_outgoing *outgoing, const char *const *argv, const char *user,
                       bool has_body, struct error *err)
{
    static const char *const environment[] = {NULL};
    const char *arguments[ARGUMENTS_MAX + 1] = {NULL};
    struct agent_exec_message message = {
        .flags = AGENT_EXEC_ARCHIVE | AGENT_EXEC_KILL_LEFTOVERS | (has_body ? AGENT_EXEC_STDIN : 0),
        .max_output = UINT64_MAX,
        .command = {.cwd = "/", .user = user, .argv = arguments, .env = (const char **)environment},
    };
    uint8_t payload[REQUEST_MAX];
    size_t size;

    while (argv[message.command.argc]) {
        arguments[message.command.argc] = argv[message.command.argc];
        message.command.argc++;
    }
    size = agent_exec_encode(&message, payload, sizeof(payload));
    if (size == 0)
        return error_set_field(err, ERR_INVALID_FIELD, "path", "the path or the user is too long");
    agent_outgoing_request(outgoing, AGENT_FRAME_EXEC, payload, size);
    return 0;
}

static int run_program(struct agent_client *client, const char *const *argv, const char *user,
                       const struct agent_source *source, struct run *run, int64_t patience_usec,
                       struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};

    if (agent_check_user(user, err) < 0 || add_request(&outgoing, argv, user, source, err) < 0 ||
        agent_channel_transfer(&client->channel, &outgoing, source, on_answer, run, patience_usec,
                               err) < 0)
        return -1;
    return judge(run, err);
}

int agent_archive_pack(struct agent_client *client, const struct agent_archive_place *place,
                       const char *format, const struct agent_archive_sink *sink,
                       int64_t patience_usec, struct error *err)
{
    const char *const argv[] = {"atoll-archive", "pack", format, place->path, NULL};
    struct run run = {.sink = sink};

    return run_program(client, argv, place->user, NULL, &run, patience_usec, err);
}

/* "\n<entries> <bytes>\n" at the end of what it said. */
static bool parse_count(const struct run *run, struct agent_archive_count *ret_count)
{
    char line[TAIL_MAX + 1];
    char *begin, *space;

    if (run->tail_size == 0 || run->tail[run->tail_size - 1] != '\n')
        return false;
    memcpy(line, run->tail, run->tail_size - 1);
    line[run->tail_size - 1] = '\0';
    begin = strrchr(line, '\n');
    space = begin ? strchr(begin, ' ') : NULL;
    if (!space)
        return false;
    *space = '\0';
    return parse_u64(begin + 1, INT64_MAX, &ret_count->entries) &&
           parse_u64(space + 1, INT64_MAX, &ret_count->bytes);
}

int agent_archive_unpack(struct agent_client *client, const struct agent_archive_place *place,
                         const struct agent_source *source, int64_t patience_usec,
                         struct agent_archive_count *ret_count, struct error *err)
{
    const char *const argv[] = {"atoll-archive", "unpack", place->path, NULL};
    struct agent_archive_count count;
    struct run run = {.sink = NULL};

    if (run_program(client, argv, place->user, source, &run, patience_usec, err) < 0)
        return -1;
    if (!parse_count(&run, &count))
        return agent_protocol_error(err);
    *ret_count = count;
    return 0;
}
