/* The bytes of one file: read, in ranges too, and replaced. */
#include "lib/base/util.h"
#include "server/handlers/byte_range.h"
#include "server/handlers/etag.h"
#include "server/handlers/v1_files.h"
#include "server/services/transfers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    PATH_MAX_CHARACTERS = 4095,
    MODE_DEFAULT = 0644,
    ATTEMPTS = 3, /* at a file that is replaced while it is read */
    FIELD_SIZE = 80,
};

static const char media_type[] = "application/octet-stream";

struct query {
    const char *path;
    const char *user;
    const char *mode;
};

static const struct json_field query_fields[] = {
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = PATH_MAX_CHARACTERS,
     .offset = offsetof(struct query, path),
     .about = "Absolute, or from /sandbox on."},
    {.name = "user",
     .type = JSON_TYPE_STRING,
     .schema = SCHEMA_USER,
     .min = 1,
     .max = V1_FILE_USER_MAX,
     .offset = offsetof(struct query, user),
     .about = "Whose rights count, and whose a written file is; 'user'."},
    {.name = "mode",
     .type = JSON_TYPE_STRING,
     .schema = V1_FILE_MODE_SCHEMA,
     .min = 1,
     .max = 4,
     .offset = offsetof(struct query, mode),
     .about = "Octal digits. Without it a file that is there keeps its own; a new one has 0644."},
};
const struct json_table v1_file_write_query = JSON_TABLE("FileWriteQuery", query_fields);
const struct json_table v1_file_read_query = {"FileReadQuery", query_fields, 2, NULL};

/* A reading under way. */
struct reading {
    struct call *call;
    const char *user;
    const char *path;
    char tag[V1_FILE_TAG_SIZE]; /* what STAT said; "" when it was not asked */
    uint64_t first;
    uint64_t count; /* of the range, where there is one */
    bool has_range;
    /* Why nothing was answered yet: */
    bool changed;  /* the file is no longer the one that STAT saw */
    bool sizeless; /* it says that it is empty, as those of /proc do, which are not */
    bool begun;    /* the answer was */
    struct transfer_place place;
};

static int look(struct call *call, const char *user, const char *path,
                struct agent_file_list *ret_found, struct error *err)
{
    const struct agent_file_request request = {
        .type = AGENT_FRAME_STAT,
        .flags = AGENT_FILE_FOLLOW,
        .user = user,
        .path = path,
    };

    return files_list(call->services, &call->caller, &call->id, &request, ret_found, err);
}

static bool is_unmodified(struct call *call, const char *tag)
{
    const char *text = http_request_header(call->request, "If-None-Match");

    return text && etag_list_has(text, tag, true);
}

/* Section 13.1.5: a range of another version is not wanted, but then all of it. */
static const char *wanted_range(struct call *call, const char *tag)
{
    const char *condition = http_request_header(call->request, "If-Range");

    if (condition && strcmp(condition, tag) != 0)
        return NULL;
    return http_request_header(call->request, "Range");
}

static int refuse_range(struct call *call, uint64_t size, struct error *err)
{
    char field[FIELD_SIZE];

    (void)snprintf(field, sizeof(field), "bytes */%" PRIu64, size);
    http_response_header(call->request, "Content-Range", field);
    return error_set(err, ERR_RANGE, "the file has %" PRIu64 " bytes", size);
}

/* What of the file is to be read. */
static int choose_part(struct reading *reading, uint64_t size, struct error *err)
{
    /* One without a size may have bytes all the same, as those of /proc have. */
    const char *range = size > 0 ? wanted_range(reading->call, reading->tag) : NULL;

    switch (byte_range_parse(range, size, &reading->first, &reading->count)) {
    case BYTE_RANGE_OUTSIDE:
        return refuse_range(reading->call, size, err);
    case BYTE_RANGE_PART:
        reading->has_range = true;
        return 0;
    case BYTE_RANGE_NONE:
        break;
    }
    reading->has_range = false;
    reading->first = 0;
    return 0;
}

/* Answers without the bytes where that is possible: 304, and HEAD of a whole file. */
static bool respond_early(struct reading *reading, const struct agent_file_entry *entry)
{
    struct http_request *request = reading->call->request;

    if (entry->type != AGENT_FILE_REGULAR)
        return false;
    if (is_unmodified(reading->call, reading->tag)) {
        http_response_header(request, "ETag", reading->tag);
        http_respond_empty(request, 304);
        return true;
    }
    if (http_request_method(request) != HTTP_HEAD)
        return false;
    http_response_header(request, "ETag", reading->tag);
    http_response_header(request, "Accept-Ranges", "bytes");
    http_respond_bytes(request, 200, media_type, NULL, (size_t)entry->size);
    return true;
}

/* The file is open: the answer begins, unless it is another one than was looked at. */
static int on_opened(void *context, const struct agent_file_entry *entry, uint64_t *ret_wanted,
                     struct error *err)
{
    struct reading *reading = context;
    struct call *call = reading->call;
    uint64_t wanted = reading->has_range ? reading->count : entry->size;
    char tag[V1_FILE_TAG_SIZE];
    char field[FIELD_SIZE];

    v1_file_tag(entry, tag);
    reading->changed = reading->has_range && strcmp(reading->tag, tag) != 0;
    if (reading->changed)
        return error_set_field(err, ERR_CONFLICT, "path", "the file changed while it was read");
    reading->sizeless = wanted == 0;
    if (reading->sizeless)
        return error_set_field(err, ERR_CONFLICT, "path", "the file has no size");
    if (transfer_enter(call->services, &call->caller, wanted, &reading->place, err) < 0)
        return -1;
    http_response_header(call->request, "ETag", tag);
    http_response_header(call->request, "Accept-Ranges", "bytes");
    if (reading->has_range) {
        (void)snprintf(field, sizeof(field), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                       reading->first, reading->first + wanted - 1, entry->size);
        http_response_header(call->request, "Content-Range", field);
    }
    reading->begun = true;
    http_respond_begin(call->request, reading->has_range ? 206 : 200, media_type, wanted);
    *ret_wanted = http_request_method(call->request) == HTTP_HEAD ? 0 : wanted;
    return 0;
}

/* All that a file gives whose size says nothing, which is collected before it is answered. */
static int read_sizeless(struct reading *reading, struct error *err)
{
    struct call *call = reading->call;
    size_t max = (size_t)atomic_load(&call->services->config)->server_max_body_bytes;
    struct files_bytes bytes = {.data = NULL};
    char tag[V1_FILE_TAG_SIZE];

    if (files_read(call->services, &call->caller, &call->id, reading->user, reading->path, 0,
                   max + 1, &bytes, err) < 0)
        return -1;
    if (bytes.size > max) {
        files_bytes_free(&bytes);
        return error_set_field(err, ERR_TOO_LARGE, "path",
                               "the file has no size, and more than %zu bytes", max);
    }
    v1_file_tag(&bytes.entry.items[0], tag);
    http_response_header(call->request, "ETag", tag);
    http_response_header(call->request, "Accept-Ranges", "bytes");
    http_respond_bytes(call->request, 200, media_type, bytes.data, bytes.size);
    files_bytes_free(&bytes);
    return 0;
}

static int on_piece(void *context, const void *data, size_t size, struct error *err)
{
    struct reading *reading = context;

    return http_respond_piece(reading->call->request, data, size)
               ? 0
               : error_set(err, ERR_UNAVAILABLE, "the client has left");
}

/* Looks at the file first where the answer depends on what it is. */
static int prepare(struct reading *reading, bool *ret_answered, struct error *err)
{
    struct http_request *request = reading->call->request;
    struct agent_file_list found = {0};
    int result;

    if (!http_request_header(request, "Range") && !http_request_header(request, "If-None-Match") &&
        http_request_method(request) != HTTP_HEAD)
        return 0;
    if (look(reading->call, reading->user, reading->path, &found, err) < 0)
        return -1;
    v1_file_tag(&found.items[0], reading->tag);
    *ret_answered = respond_early(reading, &found.items[0]);
    result = *ret_answered ? 0 : choose_part(reading, found.items[0].size, err);
    agent_file_list_free(&found);
    return result;
}

static int attempt(struct reading *reading, struct error *err)
{
    const struct agent_sink sink = {on_opened, on_piece, reading};
    struct call *call = reading->call;
    bool answered = false;
    int result;

    reading->changed = false;
    if (prepare(reading, &answered, err) < 0)
        return -1;
    if (answered)
        return 0;
    result = files_download(call->services, &call->caller, &call->id, reading->user, reading->path,
                            reading->first, &sink, err);
    transfer_leave(&reading->place);
    if (reading->sizeless)
        return read_sizeless(reading, err);
    if (!reading->begun)
        return result;
    /* What came too short, or broke off, has no end: the client notices. */
    http_respond_end(call->request);
    return 0;
}

int handle_v1_file_read(struct call *call, struct error *err)
{
    struct query query = {.user = SANDBOX_USER};
    struct call_query_storage storage;
    char path[FILES_PATH_SIZE];
    struct reading reading = {.call = call, .path = path};
    int result;

    if (call_query(call, &v1_file_read_query, &storage, &query, err) < 0 ||
        files_resolve("path", query.path, path, err) < 0)
        return -1;
    reading.user = query.user;
    result = attempt(&reading, err);
    for (int i = 1; i < ATTEMPTS && reading.changed; i++)
        result = attempt(&reading, err);
    return result < 0 ? v1_file_cannot("read", path, NULL, err) : 0;
}

/* A body of another type would be a mistake: it is not interpreted. */
static int check_media_type(struct call *call, struct error *err)
{
    const char *type = http_request_header(call->request, "Content-Type");
    size_t length = strlen(media_type);

    if (!type || (strncasecmp(type, media_type, length) == 0 && strchr("; \t", type[length])))
        return 0;
    return error_set(err, ERR_UNSUPPORTED_MEDIA_TYPE, "the body must come as Content-Type: %s",
                     media_type);
}

static int refuse_version(struct error *err)
{
    return error_set_field(err, ERR_PRECONDITION, "path",
                           "it is not the file that the request names");
}

/* What If-Match and If-None-Match say of the file that is there; `found` is NULL for none. */
static int judge_version(struct call *call, const struct agent_file_entry *found,
                         struct agent_file_upload *upload, struct error *err)
{
    const char *match = http_request_header(call->request, "If-Match");
    const char *none_match = http_request_header(call->request, "If-None-Match");
    char tag[V1_FILE_TAG_SIZE] = "";

    if (found)
        v1_file_tag(found, tag);
    if (match && (!found || !etag_list_has(match, tag, false)))
        return refuse_version(err);
    if (none_match && found && etag_list_has(none_match, tag, true))
        return refuse_version(err);
    if (match && found && strcmp(match, "*") != 0) {
        upload->condition = AGENT_UPLOAD_MATCH;
        upload->seen = *found;
    } else if (none_match && strcmp(none_match, "*") == 0) {
        upload->condition = AGENT_UPLOAD_ABSENT;
    }
    return 0;
}

/* Refuses before the body is read; the agent judges again when it puts the file in its place. */
static int check_version(struct call *call, struct agent_file_upload *upload, struct error *err)
{
    struct http_request *request = call->request;
    size_t matches = http_request_header_count(request, "If-Match");
    size_t none_matches = http_request_header_count(request, "If-None-Match");
    struct agent_file_list found = {0};
    int result;

    if (matches + none_matches == 0)
        return 0;
    if (matches > 1 || none_matches > 1)
        return error_set(err, ERR_PRECONDITION, "a condition came twice");
    if (look(call, upload->user, upload->path, &found, err) < 0 &&
        (err->code != ERR_NOT_FOUND || err->field[0] == '\0'))
        return -1;
    result = judge_version(call, found.count > 0 ? &found.items[0] : NULL, upload, err);
    agent_file_list_free(&found);
    return result;
}

static ssize_t read_body(void *context, void *buffer, size_t size, struct error *err)
{
    return http_request_read(context, buffer, size, err);
}

static int write_file(struct call *call, struct agent_file_upload *upload, struct error *err)
{
    const struct agent_source source = {read_body, call->request};
    _cleanup_transfer_ struct transfer_place place = {.places = NULL};
    struct agent_file_list written = {0};
    char tag[V1_FILE_TAG_SIZE];
    cJSON *view;

    if (check_version(call, upload, err) < 0 ||
        transfer_enter(call->services, &call->caller, http_request_size(call->request), &place,
                       err) < 0 ||
        files_upload(call->services, &call->caller, &call->id, upload, &source, &written, err) < 0)
        return -1;
    v1_file_tag(&written.items[0], tag);
    http_response_header(call->request, "ETag", tag);
    view = v1_file_view(upload->path, &written.items[0]);
    agent_file_list_free(&written);
    return call_respond_json(call, 200, view, err);
}

int handle_v1_file_write(struct call *call, struct error *err)
{
    struct query query = {.user = SANDBOX_USER};
    struct agent_file_upload upload = {.mode = MODE_DEFAULT};
    struct call_query_storage storage;
    char path[FILES_PATH_SIZE];

    if (call_query(call, &v1_file_write_query, &storage, &query, err) < 0 ||
        files_resolve("path", query.path, path, err) < 0 ||
        (query.mode && v1_file_mode("mode", query.mode, &upload.mode, err) < 0) ||
        check_media_type(call, err) < 0)
        return -1;
    upload.keeps_mode = !query.mode;
    upload.user = query.user;
    upload.path = path;
    if (write_file(call, &upload, err) < 0)
        return v1_file_cannot("write", path, NULL, err);
    return 0;
}
