#include "lib/runtime/agent_search.h"

#include "lib/agentproto/message.h"
#include "lib/agentproto/pattern.h"
#include "lib/runtime/agent_answer.h"
#include "lib/runtime/agent_check.h"
#include "lib/runtime/agent_client_private.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    REQUEST_MAX = 64 + AGENT_USER_MAX + AGENT_PATH_MAX + NAME_MAX + PATTERN_TEXT_MAX,
    MATCHES_FIRST = 64,
};

/* The answer to one SEARCH. */
struct answer {
    size_t limit;
    size_t bytes; /* of all matches */
    size_t capacity;
    bool failed;
    struct error failure;
    struct agent_matches matches;
};

void agent_matches_free(struct agent_matches *matches)
{
    for (size_t i = 0; i < matches->count; i++) {
        free(matches->items[i].path);
        free(matches->items[i].text);
    }
    free(matches->items);
    *matches = (struct agent_matches){.items = NULL};
}

static int no_memory(struct error *err)
{
    return error_set_errno(err, ENOMEM, "cannot keep what was found");
}

static int make_room(struct answer *answer, struct error *err)
{
    size_t capacity = answer->capacity ? answer->capacity * 2 : MATCHES_FIRST;
    struct agent_match *items;

    if (answer->matches.count < answer->capacity)
        return 0;
    items = reallocarray(answer->matches.items, capacity, sizeof(*items));
    if (!items)
        return no_memory(err);
    answer->matches.items = items;
    answer->capacity = capacity;
    return 0;
}

static int take_match(struct answer *answer, const struct agent_frame *frame, struct error *err)
{
    struct agent_match_message message;
    struct agent_match *match;

    answer->bytes += frame->size;
    if (answer->matches.count == answer->limit || answer->bytes > AGENT_SEARCH_BYTES_MAX ||
        !agent_match_decode(frame->payload, frame->size, &message))
        return agent_protocol_error(err);
    if (make_room(answer, err) < 0)
        return -1;
    match = &answer->matches.items[answer->matches.count++];
    *match = (struct agent_match){
        .type = (enum agent_file_type)message.type,
        .line = message.line,
        .is_cut = message.flags & AGENT_MATCH_CUT,
        .path = strdup(message.path),
        .text = strdup(message.text),
    };
    return match->path && match->text ? 0 : no_memory(err);
}

static int take_found(struct agent_matches *matches, const struct agent_frame *frame,
                      struct error *err)
{
    struct agent_found_message message;

    if (!agent_found_decode(frame->payload, frame->size, &message))
        return agent_protocol_error(err);
    matches->is_limited = message.flags & AGENT_FOUND_LIMIT;
    matches->is_late = message.flags & AGENT_FOUND_TIME;
    matches->files = message.files;
    matches->binary = message.binary;
    matches->unread = message.unread;
    return 0;
}

static int on_answer(void *context, const struct agent_frame *frame, bool *ret_done,
                     struct error *err)
{
    struct answer *answer = context;

    *ret_done = frame->type != AGENT_FRAME_MATCH;
    switch (frame->type) {
    case AGENT_FRAME_MATCH:
        return take_match(answer, frame, err);
    case AGENT_FRAME_FOUND:
        return take_found(&answer->matches, frame, err);
    case AGENT_FRAME_ERROR:
        answer->failed = true;
        return agent_take_file_failure(frame, "it is no regular file", &answer->failure, err);
    default:
        return agent_protocol_error(err);
    }
}

static int check_content(const struct agent_search_request *request, struct error *err)
{
    const struct pattern_options options = {.regex = request->regex,
                                            .ignore_case = request->ignore_case};
    _cleanup_free_ struct pattern *pattern = malloc(sizeof(*pattern));
    const char *reason;

    if (!pattern)
        return no_memory(err);
    reason = pattern_compile(pattern, request->content, &options);
    if (!reason)
        return 0;
    return error_set_field(err, ERR_NOT_POSSIBLE, "content", "'content' cannot be searched for: %s",
                           reason);
}

static int check_request(const struct agent_search_request *request, struct error *err)
{
    if (agent_check_user(request->user, err) < 0 ||
        agent_check_path("path", request->path, err) < 0 ||
        (request->name && agent_check_text("name", request->name, NAME_MAX + 1, err) < 0) ||
        (request->content &&
         agent_check_text("content", request->content, PATTERN_TEXT_MAX, err) < 0))
        return -1;
    return request->content ? check_content(request, err) : 0;
}

static uint32_t flags_of(const struct agent_search_request *request)
{
    return (request->content ? AGENT_SEARCH_CONTENT : 0u) |
           (request->regex ? AGENT_SEARCH_REGEX : 0u) |
           (request->ignore_case ? AGENT_SEARCH_IGNORE_CASE : 0u);
}

int agent_search(struct agent_client *client, const struct agent_search_request *request,
                 int64_t deadline_usec, struct agent_matches *ret_matches, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    struct answer answer = {.limit = request->limit};
    const struct agent_search_message message = {
        .flags = flags_of(request),
        .limit = request->limit,
        .timeout_ms = request->timeout_ms,
        .user = request->user,
        .path = request->path,
        .name = request->name ? request->name : "",
        .content = request->content ? request->content : "",
    };
    uint8_t payload[REQUEST_MAX];
    int status;

    if (check_request(request, err) < 0)
        return -1;
    agent_outgoing_frame(&outgoing, AGENT_FRAME_SEARCH, payload,
                         agent_search_encode(&message, payload, sizeof(payload)));
    status =
        agent_channel_exchange(&client->channel, &outgoing, on_answer, &answer, deadline_usec, err);
    if (status == 0 && !answer.failed) {
        *ret_matches = answer.matches;
        return 0;
    }
    agent_matches_free(&answer.matches);
    if (status == 0)
        *err = answer.failure;
    return -1;
}
