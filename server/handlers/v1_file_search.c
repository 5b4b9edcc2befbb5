/* Files found by name and content. */
#include "lib/base/util.h"
#include "server/handlers/execution_view.h"
#include "server/handlers/v1_files.h"
#include "server/services/file_search.h"

#include <stdlib.h>
#include <string.h>

enum { LIMIT_DEFAULT = 1000, SECONDS_DEFAULT = 10, NAME_BYTES_MAX = 255, CONTENT_BYTES_MAX = 1023 };

struct query {
    const char *path;
    const char *user;
    const char *name;
    const char *content;
    bool regex;
    bool ignore_case;
    int64_t limit;
    int64_t timeout_s;
};

static const struct json_field query_fields[] = {
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = FILES_PATH_SIZE - 1,
     .offset = offsetof(struct query, path),
     .about =
         "Of a folder, or with `content` of a file: absolute, or from /sandbox on, the default."},
    {.name = "user",
     .type = JSON_TYPE_STRING,
     .schema = SCHEMA_USER,
     .min = 1,
     .max = V1_FILE_USER_MAX,
     .offset = offsetof(struct query, user),
     .about = "Whose rights count: a name of the sandbox, or uid:gid; 'user'."},
    {.name = "name",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = NAME_BYTES_MAX,
     .offset = offsetof(struct query, name),
     .about = "A glob (* ? [a-z]) for names, not for paths."},
    {.name = "content",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = CONTENT_BYTES_MAX,
     .offset = offsetof(struct query, content),
     .about = "Text that a line has."},
    {.name = "regex",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct query, regex),
     .about = "`content` is an extended regular expression."},
    {.name = "ignore_case",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct query, ignore_case),
     .about = "Of the letters of ASCII."},
    {.name = "limit",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = AGENT_SEARCH_MATCHES_MAX,
     .offset = offsetof(struct query, limit),
     .about = "Most matches; 1000."},
    {.name = "timeout",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = AGENT_SEARCH_MS_MAX / 1000,
     .offset = offsetof(struct query, timeout_s),
     .about = "Seconds after which it ends with what it has; 10."},
};
const struct json_table v1_file_search_query = JSON_TABLE("FileSearchQuery", query_fields);

struct match_shown {
    const char *path;
    const char *path_base64;
    const char *type;
    int64_t line;
    const char *text;
    const char *text_base64;
    bool cut;
};

static const struct json_field match_fields[] = {
    V1_FILE_TEXT(struct match_shown, "path", true, false, path,
                 "Absolute; U+FFFD stands for a byte that is not UTF-8."),
    V1_FILE_TEXT(struct match_shown, "path_base64", false, true, path_base64,
                 "Its exact bytes, where it is not UTF-8."),
    {.name = "type",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "file|folder|link|fifo|socket|device",
     .offset = offsetof(struct match_shown, type)},
    {.name = "line",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = INT64_MAX,
     .offset = offsetof(struct match_shown, line),
     .about = "Number of the line, where content was searched for."},
    V1_FILE_TEXT(struct match_shown, "text", false, false, text, "The line, or 1,023 bytes of it."),
    V1_FILE_TEXT(struct match_shown, "text_base64", false, true, text_base64,
                 "Its exact bytes, where it is not UTF-8."),
    {.name = "text_truncated",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct match_shown, cut),
     .about = "The line has more than `text`."},
};
static const struct json_table match_table = JSON_TABLE("FileMatch", match_fields);

struct found_shown {
    cJSON *items;
    bool truncated;
    bool timed_out;
    int64_t files;
    int64_t binary;
    int64_t unread;
};

#define COUNT_MEMBER(name_, member, about_)                                                        \
    {                                                                                              \
        .name = (name_), .type = JSON_TYPE_INTEGER, .required = true, .max = INT64_MAX,            \
        .offset = offsetof(struct found_shown, member), .about = (about_)                          \
    }

static const struct json_field found_fields[] = {
    {.name = "items",
     .type = JSON_TYPE_ARRAY,
     .required = true,
     .max = AGENT_SEARCH_MATCHES_MAX,
     .of = &match_table,
     .offset = offsetof(struct found_shown, items)},
    {.name = "truncated",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct found_shown, truncated),
     .about = "There may be more: `limit`, the answer's size or the time was reached."},
    {.name = "timed_out",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct found_shown, timed_out),
     .about = "It was the time."},
    COUNT_MEMBER("files", files, "That were read."),
    COUNT_MEMBER("binary", binary, "Of them, those with a zero byte: they are not searched."),
    COUNT_MEMBER("unread", unread, "Files and folders that could not be read, or lie too deep."),
};
const struct json_table v1_file_found_table = JSON_TABLE("FileSearch", found_fields);

static cJSON *match_view(const char *folder, const struct agent_match *match)
{
    _cleanup_free_ char *path = v1_file_path(folder, match->path);
    _cleanup_free_ char *shown = NULL;
    _cleanup_free_ char *base64 = NULL;
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *text_base64 = NULL;
    struct match_shown view = {
        .type = v1_file_type(match->type),
        .line = match->line > 0 ? (int64_t)match->line : JSON_NULL_INTEGER,
        .cut = match->is_cut,
    };

    if (!path || !output_view(path, strlen(path), &shown, &base64) ||
        !output_view(match->text, strlen(match->text), &text, &text_base64))
        return NULL;
    view.path = shown;
    view.path_base64 = base64;
    view.text = match->line > 0 ? text : NULL;
    view.text_base64 = text_base64;
    return json_encode(&match_table, &view);
}

static cJSON *found_view(const char *folder, const struct agent_matches *matches)
{
    struct found_shown view = {
        .items = cJSON_CreateArray(),
        .truncated = matches->is_limited || matches->is_late,
        .timed_out = matches->is_late,
        .files = (int64_t)matches->files,
        .binary = (int64_t)matches->binary,
        .unread = (int64_t)matches->unread,
    };

    for (size_t i = 0; i < matches->count; i++)
        json_append(&view.items, match_view(folder, &matches->items[i]));
    return json_encode(&v1_file_found_table, &view);
}

static int check_query(const struct query *query, struct error *err)
{
    if (!query->name && !query->content)
        return error_set_field(err, ERR_NOT_POSSIBLE, "name", "give 'name', 'content' or both");
    if (query->name && strchr(query->name, '/'))
        return error_set_field(err, ERR_NOT_POSSIBLE, "name",
                               "'name' is for names, which have no '/'");
    if (query->regex && !query->content)
        return error_set_field(err, ERR_NOT_POSSIBLE, "content", "'regex' is about 'content'");
    return 0;
}

int handle_v1_file_search(struct call *call, struct error *err)
{
    _cleanup_(agent_matches_free) struct agent_matches matches = {.items = NULL};
    struct query query = {.path = SANDBOX_FOLDER,
                          .user = SANDBOX_USER,
                          .limit = LIMIT_DEFAULT,
                          .timeout_s = SECONDS_DEFAULT};
    struct call_query_storage storage;
    struct agent_search_request request;
    char path[FILES_PATH_SIZE];

    if (call_query(call, &v1_file_search_query, &storage, &query, err) < 0 ||
        check_query(&query, err) < 0 || files_resolve("path", query.path, path, err) < 0)
        return -1;
    request = (struct agent_search_request){
        .user = query.user,
        .path = path,
        .name = query.name,
        .content = query.content,
        .regex = query.regex,
        .ignore_case = query.ignore_case,
        .limit = (uint32_t)query.limit,
        .timeout_ms = (uint32_t)query.timeout_s * 1000,
    };
    if (file_search(call->services, &call->caller, &call->id, &request, &matches, err) < 0)
        return v1_file_cannot("search", path, NULL, err);
    return call_respond_json(call, 200, found_view(path, &matches), err);
}
