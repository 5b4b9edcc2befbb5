/* atoll ls, cat. */
#include "cli/api.h"
#include "cli/list.h"
#include "cli/query.h"
#include "cli/verb_functions.h"
#include "lib/base/util.h"

#include <stdio.h>

static const struct column file_columns[] = {
    {"TYPE", "type", COLUMN_TEXT},      {"MODE", "mode", COLUMN_TEXT},
    {"OWNER", "owner", COLUMN_TEXT},    {"SIZE", "size", COLUMN_TEXT},
    {"AGE", "modified_at", COLUMN_AGE}, {"PATH", "path", COLUMN_TEXT},
    {"LINK", "link", COLUMN_TEXT},
};

/* `what` and the options, of the path that the second word is. */
static int make_path(const struct arguments *arguments, const char *what, char **ret_path,
                     struct error *err)
{
    const struct parameter parameters[] = {
        {"path", arguments->word_count > 1 ? arguments->words[1] : "/sandbox"},
        {"depth", argument_value(arguments, "--depth")},
        {"user", argument_value(arguments, "--user")},
    };
    char base[96];

    (void)snprintf(base, sizeof(base), "/v1/sandboxes/%s/%s", arguments->words[0], what);
    return query_make(base, parameters, ARRAY_SIZE(parameters), ret_path, err);
}

int verb_ls(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    _cleanup_free_ char *path = NULL;
    struct list list = {.columns = file_columns, .column_count = ARRAY_SIZE(file_columns)};

    if (api_check_id(arguments->words[0], err) < 0 || list_limit(arguments, &list.limit, err) < 0 ||
        make_path(arguments, "files", &path, err) < 0 || api_open(cli, arguments, &api, err) < 0)
        return -1;
    list.path = path;
    return list_print(api, &list, err);
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
