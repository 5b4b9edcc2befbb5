/* atoll image: the verbs. */
#include "cli/cli.h"

#include "cli/elevate.h"
#include "cli/image_make.h"
#include "cli/image_store.h"
#include "cli/paths.h"
#include "cli/sandboxes.h"
#include "lib/base/util.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_info(const struct image_info *info, void *userdata)
{
    (void)userdata;
    (void)printf("%-20s %8" PRId64 " MB  %-20s  %s\n", info->name, info->size_bytes / 1000000,
                 info->built_at[0] ? info->built_at : "-", info->source[0] ? info->source : "-");
}

static int list(const struct cli *cli, char **arguments, struct error *err)
{
    struct image_store store;

    (void)arguments;
    if (image_store_open(cli->config.state_dir, &store, err) < 0)
        return -1;
    return image_store_list(&store, print_info, NULL, err);
}

static int open_locked(const struct cli *cli, struct image_store *ret_store, struct error *err)
{
    return image_store_open_locked(cli->config.state_dir, sandboxes_exist(&cli->config), ret_store,
                                   err);
}

/* Also removes the tree that was replaced or taken away, when no sandbox can stand on it. */
static int finish(const struct cli *cli, const struct image_store *store, const char *what,
                  const char *name, struct error *err)
{
    if (image_store_sweep(store, sandboxes_exist(&cli->config), err) < 0)
        return -1;
    (void)printf("image %s %s (%s/%s)\n", name, what, store->path, name);
    return 0;
}

/* Removes what a failed build left; its own error is what the caller reports. */
static int abandon(const struct image_store *store)
{
    struct error ignored;

    (void)image_store_sweep(store, true, &ignored);
    return -1;
}

static int build(const struct cli *cli, char **arguments, struct error *err)
{
    _cleanup_image_store_ struct image_store store = {.lock_fd = -1};
    struct paths paths;

    if (paths_find(&paths, err) < 0 || open_locked(cli, &store, err) < 0)
        return -1;
    if (image_make_build(&store, paths.recipes, arguments[0], err) < 0)
        return abandon(&store);
    return finish(cli, &store, "is built", arguments[0], err);
}

static int import(const struct cli *cli, char **arguments, struct error *err)
{
    _cleanup_image_store_ struct image_store store = {.lock_fd = -1};

    if (open_locked(cli, &store, err) < 0)
        return -1;
    if (image_make_import(&store, arguments[0], arguments[1], err) < 0)
        return abandon(&store);
    return finish(cli, &store, "is imported", arguments[0], err);
}

static int forget(const struct cli *cli, char **arguments, struct error *err)
{
    _cleanup_image_store_ struct image_store store = {.lock_fd = -1};

    if (open_locked(cli, &store, err) < 0 || image_store_retire(&store, arguments[0], err) < 0)
        return -1;
    return finish(cli, &store, "is removed", arguments[0], err);
}

/* The first argument of a verb, when it has one, is the image's name. */
static const struct {
    const char *name;
    int arguments;
    int (*run)(const struct cli *cli, char **arguments, struct error *err);
} verbs[] = {
    {"ls", 0, list},
    {"build", 1, build},
    {"import", 2, import},
    {"rm", 1, forget},
};

int cli_image(struct cli *cli, struct error *err)
{
    for (size_t i = 0; cli->argc > 0 && i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(cli->argv[0], verbs[i].name) != 0 || cli->argc != verbs[i].arguments + 1)
            continue;
        if (verbs[i].arguments > 0 && image_name_check(cli->argv[1], err) < 0)
            return -1;
        /* Also to list: what images hold is for root alone to see. */
        if (elevate(cli, err) < 0)
            return -1;
        return verbs[i].run(cli, cli->argv + 1, err);
    }
    return error_set(err, ERR_BAD_REQUEST,
                     "image needs one of: ls, build NAME, import NAME FILE.tar, rm NAME");
}
