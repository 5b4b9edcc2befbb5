/* atoll ls, cat. */
#include "cli/api.h"
#include "cli/verb_functions.h"
#include "lib/base/util.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>

DEFINE_CLEANUP(char *, curl_text, curl_free)

static const struct column file_columns[] = {
    {"TYPE", "type", COLUMN_TEXT},      {"MODE", "mode", COLUMN_TEXT},
    {"OWNER", "owner", COLUMN_TEXT},    {"SIZE", "size", COLUMN_TEXT},
    {"AGE", "modified_at", COLUMN_AGE}, {"PATH", "path", COLUMN_TEXT},
    {"LINK", "link", COLUMN_TEXT},
};

/* Puts "name=value" behind a path that has a '?'; nothing for NULL. */
static void put_parameter(FILE *out, const char *name, const char *value)
{
    _cleanup_(cleanup_curl_text) char *escaped = value ? curl_easy_escape(NULL, value, 0) : NULL;

    if (escaped)
        (void)fprintf(out, "&%s=%s", name, escaped);
}

/* `files` and the options, of the path that the second word is. */
static int make_path(const struct arguments *arguments, const char *files, char **ret_path,
                     struct error *err)
{
    const char *path = arguments->word_count > 1 ? arguments->words[1] : "/sandbox";
    _cleanup_(cleanup_curl_text) char *escaped = curl_easy_escape(NULL, path, 0);
    size_t size;
    FILE *out = open_memstream(ret_path, &size);

    if (!out)
        return error_set_errno(err, errno, "cannot ask for it");
    (void)fprintf(out, "/v1/sandboxes/%s/%s?path=%s", arguments->words[0], files,
                  escaped ? escaped : "");
    put_parameter(out, "depth", argument_value(arguments, "--depth"));
    put_parameter(out, "user", argument_value(arguments, "--user"));
    if (fclose(out) != 0 || !*ret_path || !escaped)
        return error_set_errno(err, ENOMEM, "cannot ask for it");
    return 0;
}

int verb_ls(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    _cleanup_free_ char *path = NULL;
    struct api_list list = {.columns = file_columns, .column_count = ARRAY_SIZE(file_columns)};

    if (api_check_id(arguments->words[0], err) < 0 || api_limit(arguments, &list.limit, err) < 0 ||
        make_path(arguments, "files", &path, err) < 0 || api_open(cli, arguments, &api, err) < 0)
        return -1;
    list.path = path;
    return api_list(api, &list, err);
}

int verb_cat(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    _cleanup_free_ char *path = NULL;

    if (api_check_id(arguments->words[0], err) < 0 ||
        make_path(arguments, "files/content", &path, err) < 0 ||
        api_open(cli, arguments, &api, err) < 0)
        return -1;
    return api_save(api, path, stdout, err);
}
