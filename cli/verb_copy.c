/* atoll cp. */
#include "cli/api.h"
#include "cli/local_file.h"
#include "cli/query.h"
#include "cli/table.h"
#include "cli/verb_functions.h"
#include "lib/base/util.h"

#include <atoll/id.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
    SANDBOX_LENGTH = 32,
    MODE_DEFAULT = 0644,
    MODE_SIZE = 8,
};

/* A file from a sandbox, or to it. */
struct copy {
    struct api *api;
    const struct arguments *arguments;
    char sandbox[SANDBOX_LENGTH + 1];
    const char *path; /* in the sandbox */
    const char *local;
};

/* What stands at the path in the sandbox. */
struct found {
    bool folder;
    mode_t mode;
};

/* `folder` and the last part of `path`, which names a file that is made: ".." does not. */
static int join_last(const char *folder, const char *path, char **ret_path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    const char *part = slash ? slash + 1 : path;

    if (part[0] == '\0' || strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
        return error_set(err, ERR_BAD_REQUEST, "cp: %s names no file", path);
    if (asprintf(ret_path, "%s/%s", folder, part) < 0) {
        *ret_path = NULL;
        return error_set_errno(err, ENOMEM, "cp");
    }
    return 0;
}

static bool ends_in_slash(const char *path)
{
    return path[0] != '\0' && path[strlen(path) - 1] == '/';
}

/* --- in the sandbox */

/* True for SANDBOX:PATH. No other word begins with an id and a colon, but "./…" can name one. */
static bool take_place(const char *word, struct copy *copy)
{
    char sandbox[SANDBOX_LENGTH + 1];
    struct id id;

    if (strcspn(word, ":") != SANDBOX_LENGTH || word[SANDBOX_LENGTH] == '\0')
        return false;
    (void)snprintf(sandbox, sizeof(sandbox), "%s", word);
    if (!id_parse(sandbox, &id))
        return false;
    memcpy(copy->sandbox, sandbox, sizeof(sandbox));
    copy->path = word[SANDBOX_LENGTH + 1] != '\0' ? word + SANDBOX_LENGTH + 1 : "/sandbox";
    return true;
}

/* The path of a request about `path`. */
static int make_request(const struct copy *copy, const char *what, const char *path,
                        const struct parameter *more, char **ret_request, struct error *err)
{
    const struct parameter parameters[] = {
        {"path", path},
        {"user", argument_value(copy->arguments, "--user")},
        *more,
    };
    char base[96];

    (void)snprintf(base, sizeof(base), "/v1/sandboxes/%s/files%s", copy->sandbox, what);
    return query_make(base, parameters, ARRAY_SIZE(parameters), ret_request, err);
}

static int find(struct copy *copy, struct found *ret_found, struct error *err)
{
    const struct parameter follow = {"follow", "true"};
    _cleanup_free_ char *request = NULL;
    _cleanup_cjson_ cJSON *stat = NULL;
    const char *type;
    const char *mode;

    if (make_request(copy, "/stat", copy->path, &follow, &request, err) < 0 ||
        api_get(copy->api, request, &stat, err) < 0)
        return -1;
    type = cJSON_GetStringValue(table_member(stat, "type"));
    mode = cJSON_GetStringValue(table_member(stat, "mode"));
    ret_found->folder = type && strcmp(type, "folder") == 0;
    ret_found->mode = mode ? (mode_t)strtoul(mode, NULL, 8) : MODE_DEFAULT;
    return 0;
}

/* --- to the sandbox */

/* Where a local file goes: into the folder that the path is, else in the path's place. */
static int choose_remote(struct copy *copy, char **ret_path, struct error *err)
{
    struct found found = {.folder = ends_in_slash(copy->path)};

    if (!found.folder && find(copy, &found, err) < 0 && err->code != ERR_NOT_FOUND)
        return -1;
    if (found.folder)
        return join_last(copy->path, copy->local, ret_path, err);
    *ret_path = strdup(copy->path);
    return *ret_path ? 0 : error_set_errno(err, ENOMEM, "cp");
}

static int open_local(const struct copy *copy, struct stat *ret_stat, struct error *err)
{
    bool is_input = strcmp(copy->local, "-") == 0;
    int fd = is_input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                      : open(copy->local, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0 || fstat(fd, ret_stat) < 0) {
        (void)error_set_errno(err, errno, "%s", copy->local);
        cleanup_close(&fd);
        return -1;
    }
    if (!S_ISDIR(ret_stat->st_mode))
        return fd;
    (void)close(fd);
    return error_set(err, ERR_CONFLICT,
                     "%s is a folder: tar -cz -C %s . | atoll cp --archive - %s:%s", copy->local,
                     copy->local, copy->sandbox, copy->path);
}

/* Puts what the descriptor gives at `path`. A pipe's mode says nothing. */
static int send_file(struct copy *copy, int fd, const struct stat *stat, const char *path,
                     struct error *err)
{
    _cleanup_free_ char *request = NULL;
    char mode[MODE_SIZE];
    const struct parameter parameter = {"mode", S_ISREG(stat->st_mode) ? mode : NULL};

    (void)snprintf(mode, sizeof(mode), "%04o", (unsigned)stat->st_mode & 0777U);
    return make_request(copy, "/content", path, &parameter, &request, err) < 0
               ? -1
               : api_send(copy->api, request, fd, err);
}

static int send_archive(struct copy *copy, int fd, struct error *err)
{
    const struct parameter none = {"format", NULL};
    _cleanup_free_ char *request = NULL;

    return make_request(copy, "/archive", copy->path, &none, &request, err) < 0
               ? -1
               : api_send(copy->api, request, fd, err);
}

static int upload(struct copy *copy, struct error *err)
{
    _cleanup_free_ char *path = NULL;
    struct stat stat;
    _cleanup_close_ int fd = open_local(copy, &stat, err);

    if (fd < 0)
        return -1;
    if (argument_value(copy->arguments, "--archive"))
        return send_archive(copy, fd, err);
    if (strcmp(copy->local, "-") == 0)
        return send_file(copy, fd, &stat, copy->path, err);
    if (choose_remote(copy, &path, err) < 0)
        return -1;
    return send_file(copy, fd, &stat, path, err);
}

/* --- from the sandbox */

/* Where a file of the sandbox goes. Its name is the one that the command line says. */
static int choose_local(const struct copy *copy, char **ret_path, struct error *err)
{
    struct stat stat_;

    if (ends_in_slash(copy->local) || (stat(copy->local, &stat_) == 0 && S_ISDIR(stat_.st_mode)))
        return join_last(copy->local, copy->path, ret_path, err);
    *ret_path = strdup(copy->local);
    return *ret_path ? 0 : error_set_errno(err, ENOMEM, "cp");
}

static int save(struct copy *copy, const char *request, const char *path, mode_t mode,
                struct error *err)
{
    _cleanup_local_file_ struct local_file *file = NULL;

    if (local_file_open(path, &file, err) < 0 ||
        api_save(copy->api, request, local_file_stream(file), err) < 0)
        return -1;
    return local_file_keep(file, mode, err);
}

static mode_t mode_of_new_files(void)
{
    mode_t mask = umask(0);

    (void)umask(mask);
    return 0666 & ~mask;
}

static int save_file(struct copy *copy, const char *request, struct error *err)
{
    _cleanup_free_ char *path = NULL;
    struct found found;

    if (find(copy, &found, err) < 0)
        return -1;
    if (found.folder)
        return error_set(err, ERR_CONFLICT, "%s is a folder: atoll cp --archive %s:%s FILE.tar.gz",
                         copy->path, copy->sandbox, copy->path);
    return choose_local(copy, &path, err) < 0 ? -1 : save(copy, request, path, found.mode, err);
}

static int download(struct copy *copy, struct error *err)
{
    const struct parameter none = {"format", NULL};
    bool archive = argument_value(copy->arguments, "--archive");
    _cleanup_free_ char *request = NULL;

    if (make_request(copy, archive ? "/archive" : "/content", copy->path, &none, &request, err) < 0)
        return -1;
    if (strcmp(copy->local, "-") == 0)
        return api_save(copy->api, request, stdout, err);
    return archive ? save(copy, request, copy->local, mode_of_new_files(), err)
                   : save_file(copy, request, err);
}

int verb_cp(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    struct copy copy = {.arguments = arguments};
    bool from = take_place(arguments->words[0], &copy);
    bool to = take_place(arguments->words[1], &copy);

    if (from == to)
        return error_set(err, ERR_BAD_REQUEST,
                         "cp: one of both must be SANDBOX:PATH, with the sandbox's id");
    copy.local = arguments->words[from ? 1 : 0];
    if (api_open(cli, arguments, &api, err) < 0)
        return -1;
    copy.api = api;
    return from ? download(&copy, err) : upload(&copy, err);
}
