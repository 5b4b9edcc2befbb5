/* Files looked at: list, stat, exists. */
#include "server/handlers/v1_files.h"

#include "lib/base/util.h"

#include <string.h>

enum {
    LIMIT_MAX = AGENT_LIST_MAX - 1,
    LIMIT_DEFAULT = 1000,
    PATH_MAX_CHARACTERS = 4095,
    CURSOR_DIGITS = 15
};

struct query {
    const char *path;
    const char *user;
    int64_t depth;
    int64_t limit;
    bool follow;
    const char *cursor;
};

#define PATH_PARAMETER                                                                             \
    {                                                                                              \
        .name = "path", .type = JSON_TYPE_STRING, .min = 1, .max = PATH_MAX_CHARACTERS,            \
        .offset = offsetof(struct query, path),                                                    \
        .about = "Absolute, or from /sandbox on, which it is when it is not given."                \
    }
#define USER_PARAMETER                                                                             \
    {                                                                                              \
        .name = "user", .type = JSON_TYPE_STRING, .schema = SCHEMA_USER, .min = 1,                 \
        .max = V1_FILE_USER_MAX, .offset = offsetof(struct query, user),                           \
        .about = "Whose rights count: a name of the sandbox, or uid:gid; 'user'."                  \
    }

static const struct json_field list_query_fields[] = {
    PATH_PARAMETER,
    USER_PARAMETER,
    {.name = "depth",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = AGENT_TREE_DEPTH_MAX,
     .offset = offsetof(struct query, depth),
     .about = "Levels of folders to show; 1."},
    {.name = "limit",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = LIMIT_MAX,
     .offset = offsetof(struct query, limit),
     .about = "Most entries to show; 1000."},
    {.name = "cursor",
     .type = JSON_TYPE_STRING,
     .schema = "{\"pattern\":\"^[0-9]{1,15}$\"}",
     .min = 1,
     .max = CURSOR_DIGITS,
     .offset = offsetof(struct query, cursor),
     .about = "`next_cursor` of the page before."},
};
const struct json_table v1_file_list_query = JSON_TABLE("FileListQuery", list_query_fields);

static const struct json_field stat_query_fields[] = {
    PATH_PARAMETER,
    USER_PARAMETER,
    {.name = "follow",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct query, follow),
     .about = "Of what a link leads to instead of the link itself."},
};
const struct json_table v1_file_stat_query = JSON_TABLE("FileStatQuery", stat_query_fields);

static const struct json_field exists_query_fields[] = {PATH_PARAMETER, USER_PARAMETER};
const struct json_table v1_file_exists_query = JSON_TABLE("FileExistsQuery", exists_query_fields);

struct exists_view {
    bool exists;
};

static const struct json_field exists_fields[] = {
    {.name = "exists",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct exists_view, exists)},
};
const struct json_table v1_file_exists_table = JSON_TABLE("FileExists", exists_fields);

static int take_query(struct call *call, const struct json_table *table, struct query *ret_query,
                      char path[static FILES_PATH_SIZE], struct call_query_storage *storage,
                      struct error *err)
{
    *ret_query = (struct query){
        .path = SANDBOX_FOLDER, .user = SANDBOX_USER, .depth = 1, .limit = LIMIT_DEFAULT};
    if (call_query(call, table, storage, ret_query, err) < 0)
        return -1;
    return files_resolve("path", ret_query->path, path, err);
}

int handle_v1_file_list(struct call *call, struct error *err)
{
    _cleanup_(agent_file_list_free) struct agent_file_list list = {.count = 0};
    struct call_query_storage storage;
    struct agent_file_request request = {.type = AGENT_FRAME_FOLDER};
    char path[FILES_PATH_SIZE];
    struct query query;

    if (take_query(call, &v1_file_list_query, &query, path, &storage, err) < 0)
        return -1;
    request.path = path;
    request.user = query.user;
    request.number = (uint32_t)query.depth;
    request.limit = (uint32_t)query.limit + 1; /* one more tells whether there are more */
    if (query.cursor && !parse_u64(query.cursor, INT64_MAX, &request.skip))
        return error_set_field(err, ERR_INVALID_FIELD, "cursor", "'cursor' is no page's");
    if (files_list(call->services, &call->caller, &call->id, &request, &list, err) < 0)
        return v1_file_cannot("list", path, NULL, err);
    return call_respond_json(
        call, 200, v1_file_list_view(path, &list, (size_t)query.limit, request.skip), err);
}

static int stat_file(struct call *call, const struct query *query, const char *path,
                     struct agent_file_list *ret_list, struct error *err)
{
    const struct agent_file_request request = {
        .type = AGENT_FRAME_STAT,
        .flags = query->follow ? AGENT_FILE_FOLLOW : 0u,
        .user = query->user,
        .path = path,
    };

    return files_list(call->services, &call->caller, &call->id, &request, ret_list, err);
}

int handle_v1_file_stat(struct call *call, struct error *err)
{
    _cleanup_(agent_file_list_free) struct agent_file_list list = {.count = 0};
    struct call_query_storage storage;
    char path[FILES_PATH_SIZE];
    struct query query;

    if (take_query(call, &v1_file_stat_query, &query, path, &storage, err) < 0)
        return -1;
    if (stat_file(call, &query, path, &list, err) < 0)
        return v1_file_cannot("look at", path, NULL, err);
    return call_respond_json(call, 200, v1_file_view(path, &list.items[0]), err);
}

/* True when the error says that there is no such file, or that what would be a folder above it is
 * none; not: no such sandbox, or one that does not run. */
static bool is_missing_file(const struct error *error)
{
    return (error->code == ERR_NOT_FOUND || error->code == ERR_CONFLICT) &&
           strcmp(error->field, "path") == 0;
}

int handle_v1_file_exists(struct call *call, struct error *err)
{
    _cleanup_(agent_file_list_free) struct agent_file_list list = {.count = 0};
    struct exists_view view = {.exists = true};
    struct call_query_storage storage;
    char path[FILES_PATH_SIZE];
    struct query query;

    if (take_query(call, &v1_file_exists_query, &query, path, &storage, err) < 0)
        return -1;
    if (stat_file(call, &query, path, &list, err) < 0) {
        if (!is_missing_file(err))
            return v1_file_cannot("look for", path, NULL, err);
        view.exists = false;
    }
    return call_respond_json(call, 200, json_encode(&v1_file_exists_table, &view), err);
}
