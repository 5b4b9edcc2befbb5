/* Files changed: folders made, files moved, copied, removed, their modes. */
#include "lib/base/util.h"
#include "server/handlers/v1_files.h"

enum { PATH_MAX_CHARACTERS = 4095, FOLDER_MODE = 0755 };

struct change_body {
    const char *path;
    const char *target;
    const char *user;
    const char *mode;
    bool parents;
    bool recursive;
    bool replace;
};

#define PATH_FIELD(name_, member, about_)                                                          \
    {                                                                                              \
        .name = (name_), .type = JSON_TYPE_STRING, .required = true, .min = 1,                     \
        .max = PATH_MAX_CHARACTERS, .offset = offsetof(struct change_body, member),                \
        .about = (about_)                                                                          \
    }
#define OWN_PATH_FIELD PATH_FIELD("path", path, "Absolute, or from /sandbox on.")
#define TARGET_FIELD   PATH_FIELD("target", target, "Its new path, not the folder to put it in.")
#define USER_FIELD                                                                                 \
    {                                                                                              \
        .name = "user", .type = JSON_TYPE_STRING, .schema = SCHEMA_USER, .min = 1,                 \
        .max = V1_FILE_USER_MAX, .offset = offsetof(struct change_body, user),                     \
        .about = "Whose rights count; 'user'."                                                     \
    }
#define SWITCH_FIELD(name_, member, about_)                                                        \
    {                                                                                              \
        .name = (name_), .type = JSON_TYPE_BOOL, .offset = offsetof(struct change_body, member),   \
        .about = (about_)                                                                          \
    }
#define REPLACE_FIELD                                                                              \
    SWITCH_FIELD("replace", replace, "What is at the target, unless it is a folder with content.")
#define MODE_FIELD(required_, about_)                                                              \
    {                                                                                              \
        .name = "mode", .type = JSON_TYPE_STRING, .required = (required_), .min = 1, .max = 4,     \
        .schema = V1_FILE_MODE_SCHEMA, .offset = offsetof(struct change_body, mode),               \
        .about = (about_)                                                                          \
    }

static const struct json_field mkdir_fields[] = {
    OWN_PATH_FIELD,
    USER_FIELD,
    MODE_FIELD(false, "Octal digits; 0755."),
    SWITCH_FIELD("parents", parents,
                 "Make what is missing above too; a folder that is there is no error."),
};
const struct json_table v1_file_mkdir_table = JSON_TABLE("FileMkdir", mkdir_fields);

static const struct json_field remove_fields[] = {
    OWN_PATH_FIELD,
    USER_FIELD,
    SWITCH_FIELD("recursive", recursive, "A folder with all that is in it."),
};
const struct json_table v1_file_remove_table = JSON_TABLE("FileRemove", remove_fields);

static const struct json_field move_fields[] = {
    OWN_PATH_FIELD,
    TARGET_FIELD,
    USER_FIELD,
    REPLACE_FIELD,
};
const struct json_table v1_file_move_table = JSON_TABLE("FileMove", move_fields);

static const struct json_field copy_fields[] = {
    OWN_PATH_FIELD,
    TARGET_FIELD,
    USER_FIELD,
    REPLACE_FIELD,
    SWITCH_FIELD("recursive", recursive, "A folder with all that is in it."),
};
const struct json_table v1_file_copy_table = JSON_TABLE("FileCopy", copy_fields);

static const struct json_field chmod_fields[] = {
    OWN_PATH_FIELD,
    USER_FIELD,
    MODE_FIELD(true, "Octal digits."),
};
const struct json_table v1_file_chmod_table = JSON_TABLE("FileChmod", chmod_fields);

static uint32_t flags_of(const struct change_body *body)
{
    return (body->parents ? AGENT_FILE_PARENTS : 0u) |
           (body->recursive ? AGENT_FILE_RECURSIVE : 0u) |
           (body->replace ? AGENT_FILE_REPLACE : 0u);
}

/* What the request asks for, as the messages of its failures call it. */
static const char *action_of(enum agent_frame_type type)
{
    switch (type) {
    case AGENT_FRAME_MKDIR:
        return "make the folder";
    case AGENT_FRAME_REMOVE:
        return "remove";
    case AGENT_FRAME_MOVE:
        return "move";
    case AGENT_FRAME_COPY:
        return "copy";
    default:
        return "change the mode of";
    }
}

static int perform(struct call *call, enum agent_frame_type type, const struct change_body *body,
                   uint32_t mode, struct error *err)
{
    struct agent_file_request request = {
        .type = type,
        .flags = flags_of(body),
        .number = mode,
        .user = body->user,
    };
    char path[FILES_PATH_SIZE];
    char target[FILES_PATH_SIZE];

    if (files_resolve("path", body->path, path, err) < 0 ||
        (body->target && files_resolve("target", body->target, target, err) < 0))
        return -1;
    request.path = path;
    request.target = body->target ? target : NULL;
    if (files_change(call->services, &call->caller, &call->id, &request, err) < 0)
        return v1_file_cannot(action_of(type), path, request.target, err);
    return 0;
}

static int change(struct call *call, const struct json_table *table, enum agent_frame_type type,
                  uint32_t mode, struct error *err)
{
    struct change_body body = {.user = SANDBOX_USER};
    _cleanup_cjson_ cJSON *json = NULL;

    if (call_body(call, table, &json, &body, err) < 0 ||
        (body.mode && v1_file_mode("mode", body.mode, &mode, err) < 0) ||
        perform(call, type, &body, mode, err) < 0)
        return -1;
    http_respond_empty(call->request, 204);
    return 0;
}

int handle_v1_file_mkdir(struct call *call, struct error *err)
{
    return change(call, &v1_file_mkdir_table, AGENT_FRAME_MKDIR, FOLDER_MODE, err);
}

int handle_v1_file_remove(struct call *call, struct error *err)
{
    return change(call, &v1_file_remove_table, AGENT_FRAME_REMOVE, 0, err);
}

int handle_v1_file_move(struct call *call, struct error *err)
{
    return change(call, &v1_file_move_table, AGENT_FRAME_MOVE, 0, err);
}

int handle_v1_file_copy(struct call *call, struct error *err)
{
    return change(call, &v1_file_copy_table, AGENT_FRAME_COPY, 0, err);
}

int handle_v1_file_chmod(struct call *call, struct error *err)
{
    return change(call, &v1_file_chmod_table, AGENT_FRAME_CHMOD, 0, err);
}
