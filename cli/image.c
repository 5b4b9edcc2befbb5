/* atoll image: the commands. */
#include "cli/verb_functions.h"

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
    (void)printf("%-20s  %5" PRId64 " MB  %-20s  %s\n", info->name, info->size_bytes / 1000000,
                 info->built_at[0] ? info->built_at : "-", info->source[0] ? info->source : "-");
}

int cli_image_ls(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    struct image_store store;

    (void)arguments;
    /* What images hold is for root alone to see. */
    if (elevate(cli, err) < 0 || image_store_open(cli->config.state_dir, &store, err) < 0)
        return -1;
    (void)printf("%-20s  %8s  %-20s  %s\n", "IMAGE", "SIZE", "BUILT", "FROM");
    return image_store_list(&store, print_info, NULL, err);
}

/* For a command that changes the image `name`. */
static int open_locked(const struct cli *cli, const char *name, struct image_store *ret_store,
                       struct error *err)
{
    if (image_name_check(name, err) < 0 || elevate(cli, err) < 0)
        return -1;
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
    return CLI_OK;
}

/* Removes what a failed build left; its own error is what the caller reports. */
static int abandon(const struct image_store *store)
{
    struct error ignored;

    (void)image_store_sweep(store, true, &ignored);
    return -1;
}

int cli_image_build(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_image_store_ struct image_store store = {.lock_fd = -1};
    const char *name = arguments->words[0];
    struct paths paths;

    if (paths_find(&paths, err) < 0 || open_locked(cli, name, &store, err) < 0)
        return -1;
    if (image_make_build(&store, paths.recipes, name, err) < 0)
        return abandon(&store);
    return finish(cli, &store, "is built", name, err);
}

int cli_image_import(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_image_store_ struct image_store store = {.lock_fd = -1};
    const char *name = arguments->words[0];

    if (open_locked(cli, name, &store, err) < 0)
        return -1;
    if (image_make_import(&store, name, arguments->words[1], err) < 0)
        return abandon(&store);
    return finish(cli, &store, "is imported", name, err);
}

int cli_image_rm(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_image_store_ struct image_store store = {.lock_fd = -1};
    const char *name = arguments->words[0];

    if (open_locked(cli, name, &store, err) < 0 || image_store_retire(&store, name, err) < 0)
        return -1;
    return finish(cli, &store, "is removed", name, err);
}
