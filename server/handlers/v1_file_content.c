/* The bytes of one file: read, in ranges too, and replaced. */
#include "lib/base/util.h"
#include "server/handlers/byte_range.h"
#include "server/handlers/v1_files.h"

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
     .about = "Octal digits; 0644."},
};
const struct json_table v1_file_write_query = JSON_TABLE("FileWriteQuery", query_fields);
const struct json_table v1_file_read_query = {"FileReadQuery", query_fields, 2, NULL};

/* A reading under way. */
struct reading {
    struct call *call;
    const char *user;
    const char *path;
    struct agent_file_list found; /* what STAT said */
    struct files_bytes bytes;
    uint64_t first;
    uint64_t count; /* of the range, where there is one */
    bool has_range;
};

static void reading_reset(struct reading *reading)
{
    agent_file_list_free(&reading->found);
    files_bytes_free(&reading->bytes);
    reading->bytes = (struct files_bytes){.data = NULL};
}

static size_t size_limit(const struct call *call)
{
    return (size_t)atomic_load(&call->services->config)->server_max_body_bytes;
}

static int look(struct reading *reading, struct error *err)
{
    const struct agent_file_request request = {
        .type = AGENT_FRAME_STAT,
        .flags = AGENT_FILE_FOLLOW,
        .user = reading->user,
        .path = reading->path,
    };
    struct call *call = reading->call;

    return files_list(call->services, &call->caller, &call->id, &request, &reading->found, err);
}

static bool is_unmodified(struct call *call, const char *tag)
{
    const char *text = http_request_header(call->request, "If-None-Match");

    return text && (strcmp(text, "*") == 0 || strstr(text, tag));
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
static int choose_part(struct reading *reading, const char *tag, struct error *err)
{
    const struct agent_file_entry *entry = &reading->found.items[0];
    size_t max = size_limit(reading->call);

    switch (byte_range_parse(wanted_range(reading->call, tag), entry->size, &reading->first,
                             &reading->count)) {
    case BYTE_RANGE_OUTSIDE:
        return refuse_range(reading->call, entry->size, err);
    case BYTE_RANGE_PART:
        reading->has_range = true;
        if (reading->count > max) /* section 15.3.7 lets a part of what was asked for do */
            reading->count = max;
        return 0;
    case BYTE_RANGE_NONE:
        break;
    }
    reading->has_range = false;
    reading->first = 0;
    reading->count = (uint64_t)max + 1; /* one more tells a larger file */
    return 0;
}

static int too_large(const struct call *call, struct error *err)
{
    return error_set_field(err, ERR_TOO_LARGE, "path",
                           "the file has more than %zu bytes: read it in ranges", size_limit(call));
}

static void respond_bytes(struct reading *reading, const char *tag, uint64_t size)
{
    struct http_request *request = reading->call->request;
    char field[FIELD_SIZE];

    http_response_header(request, "ETag", tag);
    http_response_header(request, "Accept-Ranges", "bytes");
    if (reading->has_range) {
        (void)snprintf(field, sizeof(field), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                       reading->first, reading->first + reading->bytes.size - 1, size);
        http_response_header(request, "Content-Range", field);
    }
    http_respond_bytes(request, reading->has_range ? 206 : 200, media_type, reading->bytes.data,
                       reading->bytes.size);
}

/* Answers without the bytes where that is possible: 304, and HEAD of a whole file. */
static bool respond_early(struct reading *reading, const char *tag)
{
    const struct agent_file_entry *entry = &reading->found.items[0];
    struct http_request *request = reading->call->request;

    if (entry->type != AGENT_FILE_REGULAR)
        return false;
    if (is_unmodified(reading->call, tag)) {
        http_response_header(request, "ETag", tag);
        http_respond_empty(request, 304);
        return true;
    }
    if (http_request_method(request) != HTTP_HEAD)
        return false;
    http_response_header(request, "ETag", tag);
    http_response_header(request, "Accept-Ranges", "bytes");
    http_respond_bytes(request, 200, media_type, NULL, (size_t)entry->size);
    return true;
}

/* Reads what was chosen. *ret_changed: the file is no longer the one that was looked at. */
static int read_part(struct reading *reading, const char *tag, bool *ret_changed, struct error *err)
{
    struct call *call = reading->call;
    char opened[V1_FILE_TAG_SIZE];
    bool whole = !reading->has_range;

    if (files_read(call->services, &call->caller, &call->id, reading->user, reading->path,
                   reading->first, (size_t)reading->count, &reading->bytes, err) < 0)
        return -1;
    if (whole && reading->bytes.size > size_limit(call))
        return too_large(call, err);
    v1_file_tag(&reading->bytes.entry.items[0], opened);
    *ret_changed =
        reading->has_range && (strcmp(tag, opened) != 0 || reading->bytes.size != reading->count);
    return 0;
}

/* *ret_changed: nothing was answered, it is to be tried again. */
static int attempt(struct reading *reading, bool *ret_changed, struct error *err)
{
    char tag[V1_FILE_TAG_SIZE];

    *ret_changed = false;
    if (look(reading, err) < 0)
        return -1;
    v1_file_tag(&reading->found.items[0], tag);
    if (respond_early(reading, tag))
        return 0;
    if (choose_part(reading, tag, err) < 0 || read_part(reading, tag, ret_changed, err) < 0)
        return -1;
    if (*ret_changed)
        return 0;
    v1_file_tag(&reading->bytes.entry.items[0], tag);
    respond_bytes(reading, tag, reading->bytes.entry.items[0].size);
    return 0;
}

int handle_v1_file_read(struct call *call, struct error *err)
{
    struct query query = {.user = FILES_USER};
    struct call_query_storage storage;
    char path[FILES_PATH_SIZE];
    struct reading reading = {.call = call};
    bool changed = true;
    int status = 0;

    if (call_query(call, &v1_file_read_query, &storage, &query, err) < 0 ||
        files_resolve("path", query.path, path, err) < 0)
        return -1;
    reading.user = query.user;
    reading.path = path;
    for (int i = 0; i < ATTEMPTS && changed && status == 0; i++) {
        status = attempt(&reading, &changed, err);
        reading_reset(&reading);
    }
    if (status == 0 && changed)
        return error_set_field(err, ERR_CONFLICT, "path", "the file changed while it was read");
    return status;
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

static int write_file(struct call *call, const struct agent_file_content *content,
                      struct error *err)
{
    struct error result;

    if (files_write(call->services, &call->caller, &call->id, content, 1, &result, err) < 0)
        return -1;
    if (result.message[0] == '\0')
        return 0;
    *err = result;
    return -1;
}

static int respond_written(struct call *call, const struct agent_file_content *content,
                           struct error *err)
{
    struct reading reading = {.call = call, .user = content->user, .path = content->path};
    char tag[V1_FILE_TAG_SIZE];
    cJSON *view;

    if (look(&reading, err) < 0)
        return -1;
    v1_file_tag(&reading.found.items[0], tag);
    http_response_header(call->request, "ETag", tag);
    view = v1_file_view(content->path, &reading.found.items[0]);
    reading_reset(&reading);
    return call_respond_json(call, 200, view, err);
}

int handle_v1_file_write(struct call *call, struct error *err)
{
    struct query query = {.user = FILES_USER};
    struct agent_file_content content = {.mode = MODE_DEFAULT};
    struct call_query_storage storage;
    char path[FILES_PATH_SIZE];
    const char *data;

    if (call_query(call, &v1_file_write_query, &storage, &query, err) < 0 ||
        files_resolve("path", query.path, path, err) < 0 ||
        (query.mode && v1_file_mode("mode", query.mode, &content.mode, err) < 0) ||
        check_media_type(call, err) < 0 ||
        http_request_body(call->request, size_limit(call), &data, &content.size, err) < 0)
        return -1;
    content.user = query.user;
    content.path = path;
    content.data = data;
    if (write_file(call, &content, err) < 0)
        return -1;
    return respond_written(call, &content, err);
}
