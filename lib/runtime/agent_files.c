#include "lib/runtime/agent_files.h"

#include "lib/agentproto/message.h"
#include "lib/runtime/agent_answer.h"
#include "lib/runtime/agent_check.h"
#include "lib/runtime/agent_client_private.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEST_MAX = 40 + AGENT_USER_MAX + 2 * AGENT_PATH_MAX, ENTRIES_FIRST = 64 };

/* The answer to one request about files. */
struct answer {
    const char *unfit; /* what EINVAL says; NULL: that it is no regular file */
    size_t entries_max;
    size_t bytes;   /* of all entries */
    uint64_t value; /* of DONE */
    bool failed;
    struct error failure;
    struct agent_file_list list;
    size_t capacity;
    struct agent_reading reading; /* of READ */
};

/* Keeps what the agent says of a failure. -1 when it says it wrongly. */
static int take_failure(struct answer *answer, const struct agent_frame *frame, struct error *err)
{
    answer->failed = true;
    return agent_take_file_failure(frame, answer->unfit ? answer->unfit : "it is no regular file",
                                   &answer->failure, err);
}

static void entry_free(struct agent_file_entry *entry)
{
    free(entry->owner);
    free(entry->group);
    free(entry->path);
    free(entry->link);
}

void agent_file_list_free(struct agent_file_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        entry_free(&list->items[i]);
    free(list->items);
    *list = (struct agent_file_list){0};
}

static int compare_paths(const void *a, const void *b)
{
    const struct agent_file_entry *left = a;
    const struct agent_file_entry *right = b;

    return strcmp(left->path, right->path);
}

void agent_file_list_sort(struct agent_file_list *list, size_t count)
{
    if (count > 0)
        qsort(list->items, count, sizeof(list->items[0]), compare_paths);
}

static int no_memory(struct error *err)
{
    return error_set_errno(err, ENOMEM, "cannot keep what the sandbox says of its files");
}

static int copy_entry(const struct agent_entry_message *message, struct agent_file_entry *ret_entry,
                      struct error *err)
{
    struct agent_file_entry entry = {
        .type = (enum agent_file_type)message->type,
        .mode = message->mode,
        .uid = message->uid,
        .gid = message->gid,
        .size = message->size,
        .inode = message->inode,
        .mtime_nsec = message->mtime_nsec,
        .owner = strdup(message->owner),
        .group = strdup(message->group),
        .path = strdup(message->path),
        .link = strdup(message->link),
    };

    if (!entry.owner || !entry.group || !entry.path || !entry.link) {
        entry_free(&entry);
        return no_memory(err);
    }
    *ret_entry = entry;
    return 0;
}

static int take_entry(struct answer *answer, const struct agent_frame *frame, struct error *err)
{
    struct agent_file_list *list = &answer->list;
    struct agent_entry_message message;

    if (list->count == answer->entries_max ||
        !agent_entry_decode(frame->payload, frame->size, &message))
        return agent_protocol_error(err);
    answer->bytes += frame->size;
    /* Names and links may have 4 KB each. */
    if (answer->bytes > AGENT_LIST_BYTES_MAX)
        return error_set_field(err, ERR_NOT_POSSIBLE, "limit",
                               "the entries have over %d bytes together: ask for fewer",
                               AGENT_LIST_BYTES_MAX);
    if (list->count == answer->capacity) {
        size_t capacity = answer->capacity ? answer->capacity * 2 : ENTRIES_FIRST;
        struct agent_file_entry *items = reallocarray(list->items, capacity, sizeof(*items));

        if (!items)
            return no_memory(err);
        list->items = items;
        answer->capacity = capacity;
    }
    if (copy_entry(&message, &list->items[list->count], err) < 0)
        return -1;
    list->count++;
    return 0;
}

static int on_answer(void *context, const struct agent_frame *frame, bool *ret_done,
                     struct error *err)
{
    struct answer *answer = context;

    switch (frame->type) {
    case AGENT_FRAME_ENTRY:
        return take_entry(answer, frame, err);
    case AGENT_FRAME_DONE:
        *ret_done = true;
        return agent_done_decode(frame->payload, frame->size, &answer->value)
                   ? 0
                   : agent_protocol_error(err);
    case AGENT_FRAME_ERROR:
        *ret_done = true;
        return take_failure(answer, frame, err);
    default:
        return agent_protocol_error(err);
    }
}

/* An ENTRY, and then what READ always answers. */
static int on_read_answer(void *context, const struct agent_frame *frame, bool *ret_done,
                          struct error *err)
{
    struct answer *answer = context;

    if (frame->type == AGENT_FRAME_ERROR || answer->list.count == 0)
        return frame->type == AGENT_FRAME_DONE ? agent_protocol_error(err)
                                               : on_answer(context, frame, ret_done, err);
    return agent_reading_reply(&answer->reading, frame, ret_done, err);
}

static void answer_free(struct answer *answer)
{
    agent_file_list_free(&answer->list);
    agent_reading_free(&answer->reading);
}

static int exchange(struct agent_client *client, struct agent_outgoing *outgoing,
                    agent_reply_fn reply, struct answer *answer, int64_t deadline_usec,
                    struct error *err)
{
    if (agent_channel_exchange(&client->channel, outgoing, reply, answer, deadline_usec, err) < 0)
        return -1;
    if (!answer->failed)
        return 0;
    *err = answer->failure;
    return -1;
}

static int request_answer(struct agent_client *client, const struct agent_file_request *request,
                          int64_t deadline_usec, struct answer *answer, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    const struct agent_file_message message = {
        .flags = request->flags | (request->skip > 0 ? AGENT_FILE_SKIP : 0u),
        .skip = request->skip,
        .number = request->number,
        .limit = request->limit,
        .user = request->user,
        .path = request->path,
        .target = request->target ? request->target : "",
    };
    uint8_t payload[REQUEST_MAX];

    if (agent_check_user(request->user, err) < 0 ||
        agent_check_path("path", request->path, err) < 0 ||
        (request->target && agent_check_path("target", request->target, err) < 0))
        return -1;
    agent_outgoing_frame(&outgoing, request->type, payload,
                         agent_file_encode(&message, payload, sizeof(payload)));
    return exchange(client, &outgoing, on_answer, answer, deadline_usec, err);
}

/* Why a change of files is EINVAL, whose own text tells nobody what to put right. */
static const char *unfit_reason(enum agent_frame_type type)
{
    switch (type) {
    case AGENT_FRAME_MOVE:
        return "it must end in a name, and no folder goes into itself";
    case AGENT_FRAME_COPY:
        return "it must end in a name, be a file, folder or link, and no folder goes into itself";
    default:
        return "it must end in a name";
    }
}

int agent_files_change(struct agent_client *client, const struct agent_file_request *request,
                       int64_t deadline_usec, struct error *err)
{
    _cleanup_(answer_free) struct answer answer = {.unfit = unfit_reason(request->type)};

    return request_answer(client, request, deadline_usec, &answer, err);
}

int agent_files_list(struct agent_client *client, const struct agent_file_request *request,
                     int64_t deadline_usec, struct agent_file_list *ret_list, struct error *err)
{
    bool is_one = request->type == AGENT_FRAME_STAT;
    _cleanup_(answer_free) struct answer answer = {.entries_max = is_one ? 1 : request->limit};

    if (request_answer(client, request, deadline_usec, &answer, err) < 0)
        return -1;
    if (is_one && answer.list.count != 1)
        return agent_protocol_error(err);
    *ret_list = answer.list;
    answer.list = (struct agent_file_list){0};
    return 0;
}

int agent_files_disk(struct agent_client *client, int64_t deadline_usec, uint64_t *ret_used,
                     struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    _cleanup_(answer_free) struct answer answer = {.entries_max = 0};

    agent_outgoing_frame(&outgoing, AGENT_FRAME_DISK, "", 0);
    if (exchange(client, &outgoing, on_answer, &answer, deadline_usec, err) < 0)
        return -1;
    *ret_used = answer.value;
    return 0;
}

int agent_files_read(struct agent_client *client, const char *user, const char *path,
                     uint64_t offset, size_t limit, int64_t deadline_usec,
                     struct agent_file_list *ret_entry, char **ret_data, size_t *ret_size,
                     struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    _cleanup_(answer_free) struct answer answer = {.entries_max = 1, .reading.content.max = limit};
    const struct agent_read_message message = {
        .flags = AGENT_READ_DESCRIBE,
        .offset = offset,
        .limit = limit,
        .user = user,
        .path = path,
    };
    uint8_t payload[REQUEST_MAX];

    if (agent_check_user(user, err) < 0 || agent_check_path("path", path, err) < 0)
        return -1;
    agent_outgoing_frame(&outgoing, AGENT_FRAME_READ, payload,
                         agent_read_encode(&message, payload, sizeof(payload)));
    if (exchange(client, &outgoing, on_read_answer, &answer, deadline_usec, err) < 0 ||
        agent_collected_take(&answer.reading.content, ret_data, ret_size, err) < 0)
        return -1;
    *ret_entry = answer.list;
    answer.list = (struct agent_file_list){0};
    return 0;
}

int agent_files_write(struct agent_client *client, const struct agent_file_content *content,
                      int64_t deadline_usec, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    _cleanup_(answer_free) struct answer answer = {.entries_max = 0};
    const struct agent_write_message message = {
        .flags = content->keeps_mode ? AGENT_WRITE_KEEP_MODE : 0,
        .mode = content->mode,
        .owner = content->user,
        .path = content->path,
    };
    uint8_t payload[REQUEST_MAX];

    if (agent_check_user(content->user, err) < 0 ||
        agent_check_path("path", content->path, err) < 0)
        return -1;
    agent_outgoing_frame(&outgoing, AGENT_FRAME_WRITE, payload,
                         agent_write_encode(&message, payload, sizeof(payload)));
    agent_outgoing_body(&outgoing, content->data, content->size);
    return exchange(client, &outgoing, on_answer, &answer, deadline_usec, err);
}

/* A file on its way to a sink. */
struct download {
    struct answer answer; /* the ENTRY, and a failure */
    const struct agent_sink *sink;
    bool begun;
    uint64_t left; /* bytes that the sink still wants */
};

static int begin_download(struct download *download, const struct agent_frame *frame,
                          bool *ret_done, struct error *err)
{
    if (take_entry(&download->answer, frame, err) < 0 ||
        download->sink->begin(download->sink->context, &download->answer.list.items[0],
                              &download->left, err) < 0)
        return -1;
    download->begun = true;
    *ret_done = download->left == 0;
    return 0;
}

static int on_download_answer(void *context, const struct agent_frame *frame, bool *ret_done,
                              struct error *err)
{
    struct download *download = context;
    size_t size = frame->size;

    if (frame->type == AGENT_FRAME_ENTRY)
        return begin_download(download, frame, ret_done, err);
    if (frame->type != AGENT_FRAME_DATA)
        return frame->type == AGENT_FRAME_DONE && !download->begun
                   ? agent_protocol_error(err)
                   : on_answer(&download->answer, frame, ret_done, err);
    if (!download->begun || size == 0)
        return agent_protocol_error(err);
    size = size < download->left ? size : (size_t)download->left;
    download->left -= size;
    *ret_done = download->left == 0;
    return download->sink->piece(download->sink->context, frame->payload, size, err);
}

int agent_files_download(struct agent_client *client, const char *user, const char *path,
                         uint64_t offset, const struct agent_sink *sink, int64_t patience_usec,
                         struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    struct download download = {.answer.entries_max = 1, .sink = sink};
    const struct agent_read_message message = {
        .flags = AGENT_READ_DESCRIBE,
        .offset = offset,
        .limit = INT64_MAX,
        .user = user,
        .path = path,
    };
    uint8_t payload[REQUEST_MAX];
    int result;

    if (agent_check_user(user, err) < 0 || agent_check_path("path", path, err) < 0)
        return -1;
    agent_outgoing_frame(&outgoing, AGENT_FRAME_READ, payload,
                         agent_read_encode(&message, payload, sizeof(payload)));
    result = agent_channel_transfer(&client->channel, &outgoing, NULL, on_download_answer,
                                    &download, patience_usec, err);
    client->channel.broken = true; /* more than the sink wanted may still be on its way */
    if (result == 0 && download.answer.failed) {
        *err = download.answer.failure;
        result = -1;
    }
    answer_free(&download.answer);
    return result;
}

static struct agent_write_message upload_message(const struct agent_file_upload *upload)
{
    static const uint32_t flags[] = {
        [AGENT_UPLOAD_ANYWAY] = AGENT_WRITE_DESCRIBE,
        [AGENT_UPLOAD_ABSENT] = AGENT_WRITE_DESCRIBE | AGENT_WRITE_ABSENT,
        [AGENT_UPLOAD_MATCH] = AGENT_WRITE_DESCRIBE | AGENT_WRITE_MATCH,
    };

    return (struct agent_write_message){
        .flags = flags[upload->condition] | (upload->keeps_mode ? AGENT_WRITE_KEEP_MODE : 0),
        .mode = upload->mode,
        .owner = upload->user,
        .path = upload->path,
        .size = upload->seen.size,
        .inode = upload->seen.inode,
        .mtime_nsec = upload->seen.mtime_nsec,
    };
}

int agent_files_upload(struct agent_client *client, const struct agent_file_upload *upload,
                       const struct agent_source *source, int64_t patience_usec,
                       struct agent_file_list *ret_entry, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    _cleanup_(answer_free) struct answer answer = {.entries_max = 1};
    const struct agent_write_message message = upload_message(upload);
    uint8_t payload[REQUEST_MAX];

    if (agent_check_user(upload->user, err) < 0 || agent_check_path("path", upload->path, err) < 0)
        return -1;
    agent_outgoing_frame(&outgoing, AGENT_FRAME_WRITE, payload,
                         agent_write_encode(&message, payload, sizeof(payload)));
    if (agent_channel_transfer(&client->channel, &outgoing, source, on_answer, &answer,
                               patience_usec, err) < 0)
        return -1;
    if (answer.failed) {
        *err = answer.failure;
        return -1;
    }
    if (answer.list.count != 1)
        return agent_protocol_error(err);
    *ret_entry = answer.list;
    answer.list = (struct agent_file_list){0};
    return 0;
}
