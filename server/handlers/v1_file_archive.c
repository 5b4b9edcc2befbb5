/* Folders as archives: packed, and unpacked. */
#include "lib/base/util.h"
#include "server/handlers/v1_files.h"
#include "server/services/transfers.h"

#include <atoll/archive_proto.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PATH_MAX_CHARACTERS = 4095, DISPOSITION_SIZE = 64 };

struct query {
    const char *path;
    const char *user;
    const char *format;
};

static const struct json_field query_fields[] = {
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = PATH_MAX_CHARACTERS,
     .offset = offsetof(struct query, path),
     .about = "Absolute, or from /sandbox on, which it is when it is not given."},
    {.name = "user",
     .type = JSON_TYPE_STRING,
     .schema = SCHEMA_USER,
     .min = 1,
     .max = V1_FILE_USER_MAX,
     .offset = offsetof(struct query, user),
     .about = "Whose rights count, and whose unpacked files are; 'user'."},
    {.name = "format",
     .type = JSON_TYPE_STRING,
     .choices = "tar|tar.gz|zip",
     .min = 1,
     .max = 8,
     .offset = offsetof(struct query, format),
     .about = "tar, tar.gz or zip; 'tar.gz'."},
};
const struct json_table v1_file_pack_query = JSON_TABLE("FilePackQuery", query_fields);
const struct json_table v1_file_unpack_query = {"FileUnpackQuery", query_fields, 2, NULL};

struct unpacked {
    const char *path;
    int64_t entries;
    int64_t bytes;
};

static const struct json_field unpacked_fields[] = {
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .required = true,
     .offset = offsetof(struct unpacked, path)},
    {.name = "entries",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .offset = offsetof(struct unpacked, entries)},
    {.name = "bytes",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .offset = offsetof(struct unpacked, bytes)},
};
const struct json_table v1_file_unpack_table = JSON_TABLE("FilesUnpacked", unpacked_fields);

struct format {
    const char *word;
    const char *media_type;
    const char *end; /* of a file's name */
};

static const struct format formats[] = {
#define FORMAT_ROW(symbol, word, media_type, end) {word, media_type, end},
    ARCHIVE_FORMATS(FORMAT_ROW)
#undef FORMAT_ROW
};

static int take_query(struct call *call, const struct json_table *table,
                      struct call_query_storage *storage, struct query *ret_query,
                      char path[static FILES_PATH_SIZE], struct error *err)
{
    *ret_query = (struct query){.path = SANDBOX_FOLDER, .user = SANDBOX_USER, .format = "tar.gz"};
    if (call_query(call, table, storage, ret_query, err) < 0)
        return -1;
    return files_resolve("path", ret_query->path, path, err);
}

/* An archive on its way to the client. */
struct packing {
    struct call *call;
    const struct format *format;
    bool begun;
};

/* The first piece begins the answer: until then a failure is told by its status. */
static void begin_answer(struct packing *packing)
{
    char disposition[DISPOSITION_SIZE];

    if (packing->begun)
        return;
    (void)snprintf(disposition, sizeof(disposition), "attachment; filename=\"files%s\"",
                   packing->format->end);
    http_response_header(packing->call->request, "Content-Disposition", disposition);
    http_respond_begin(packing->call->request, 200, packing->format->media_type, HTTP_SIZE_UNKNOWN);
    packing->begun = true;
}

static int on_piece(void *context, const void *data, size_t size, struct error *err)
{
    struct packing *packing = context;

    begin_answer(packing);
    return http_respond_piece(packing->call->request, data, size)
               ? 0
               : error_set(err, ERR_UNAVAILABLE, "the client has left");
}

static const struct format *find_format(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
        if (strcmp(formats[i].word, word) == 0)
            return &formats[i];
    return NULL;
}

/* What HEAD can say without packing: whether there is something. */
static int respond_head(struct packing *packing, const struct query *query, const char *path,
                        struct error *err)
{
    const struct agent_file_request request = {
        .type = AGENT_FRAME_STAT,
        .flags = AGENT_FILE_FOLLOW,
        .user = query->user,
        .path = path,
    };
    struct call *call = packing->call;
    struct agent_file_list found = {0};

    if (files_list(call->services, &call->caller, &call->id, &request, &found, err) < 0)
        return v1_file_cannot("pack", path, NULL, err);
    agent_file_list_free(&found);
    begin_answer(packing);
    http_respond_end(call->request);
    return 0;
}

static int pack(struct packing *packing, const struct query *query, const char *path,
                struct error *err)
{
    const struct agent_archive_place place = {.user = query->user, .path = path};
    const struct agent_archive_sink sink = {on_piece, packing};
    _cleanup_transfer_ struct transfer_place held = {.places = NULL};
    struct call *call = packing->call;

    if (transfer_enter(call->services, &call->caller, TRANSFER_SIZE_UNKNOWN, &held, err) < 0)
        return -1;
    if (files_pack(call->services, &call->caller, &call->id, &place, query->format, &sink, err) < 0)
        return packing->begun ? 0 /* an answer without its end is not whole */
                              : v1_file_cannot("pack", path, NULL, err);
    begin_answer(packing);
    http_respond_end(call->request);
    return 0;
}

int handle_v1_file_pack(struct call *call, struct error *err)
{
    struct packing packing = {.call = call};
    struct call_query_storage storage;
    char path[FILES_PATH_SIZE];
    struct query query;

    if (take_query(call, &v1_file_pack_query, &storage, &query, path, err) < 0)
        return -1;
    packing.format = find_format(query.format);
    return http_request_method(call->request) == HTTP_HEAD
               ? respond_head(&packing, &query, path, err)
               : pack(&packing, &query, path, err);
}

/* What the body is shows in its first bytes; its type only says that it is no form and no JSON. */
static int check_media_type(struct call *call, struct error *err)
{
    static const char *const types[] = {"application/octet-stream", "application/x-tar",
                                        "application/gzip", "application/x-gzip",
                                        "application/zip"};
    const char *type = http_request_header(call->request, "Content-Type");

    if (!type)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        size_t length = strlen(types[i]);

        if (strncasecmp(type, types[i], length) == 0 && strchr("; \t", type[length]))
            return 0;
    }
    return error_set(err, ERR_UNSUPPORTED_MEDIA_TYPE,
                     "the body must come as application/octet-stream, application/x-tar, "
                     "application/gzip or application/zip");
}

static ssize_t read_body(void *context, void *buffer, size_t size, struct error *err)
{
    return http_request_read(context, buffer, size, err);
}

int handle_v1_file_unpack(struct call *call, struct error *err)
{
    const struct agent_source source = {read_body, call->request};
    _cleanup_transfer_ struct transfer_place held = {.places = NULL};
    struct agent_archive_place place;
    struct agent_archive_count count;
    struct call_query_storage storage;
    char path[FILES_PATH_SIZE];
    struct query query;

    if (take_query(call, &v1_file_unpack_query, &storage, &query, path, err) < 0 ||
        check_media_type(call, err) < 0 ||
        transfer_enter(call->services, &call->caller, TRANSFER_SIZE_UNKNOWN, &held, err) < 0)
        return -1;
    place = (struct agent_archive_place){.user = query.user, .path = path};
    if (files_unpack(call->services, &call->caller, &call->id, &place, &source, &count, err) < 0)
        return v1_file_cannot("unpack into", path, NULL, err);
    return call_respond_json(
        call, 200,
        json_encode(&v1_file_unpack_table,
                    &(struct unpacked){path, (int64_t)count.entries, (int64_t)count.bytes}),
        err);
}
