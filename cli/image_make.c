#include "cli/image_make.h"

#include "cli/image_tree.h"
#include "cli/spawn.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { VARIABLE_SIZE = IMAGE_PATH_SIZE + 32 };

/* Checks the tree of the build and gives the image its name. */
static int publish(const struct image_store *store, const char *name, const char *rootfs,
                   const char *source, struct error *err)
{
    struct image_info info = {0};
    time_t now = time(NULL);
    struct tm utc;

    if (image_tree_prepare(rootfs, err) < 0 || image_tree_size(rootfs, &info.size_bytes, err) < 0)
        return -1;
    (void)snprintf(info.name, sizeof(info.name), "%s", name);
    (void)snprintf(info.source, sizeof(info.source), "%s", source);
    (void)strftime(info.built_at, sizeof(info.built_at), "%Y-%m-%dT%H:%M:%SZ",
                   gmtime_r(&now, &utc));
    return image_store_publish(store, &info, err);
}

static int run(const struct spawn *spawn, const char *what, struct error *err)
{
    _cleanup_close_ int pidfd = -1;
    char text[64];
    int status = 0;
    pid_t pid = 0;

    if (spawn_start(spawn, &pid, &pidfd, err) < 0 || spawn_reap(pid, &status, err) < 0)
        return -1;
    if (status != 0)
        return error_set(err, ERR_INTERNAL, "%s failed: %s", what, spawn_status_text(status, text));
    return 0;
}

int image_make_build(const struct image_store *store, const char *recipes, const char *name,
                     struct error *err)
{
    static const char *const inherited[] = {"HOME", "TERM", "http_proxy", "https_proxy",
                                            "no_proxy"};
    char folder[IMAGE_PATH_SIZE];
    char recipe[IMAGE_PATH_SIZE];
    char rootfs[VARIABLE_SIZE];
    char base[VARIABLE_SIZE];
    char values[sizeof(inherited) / sizeof(inherited[0])][1024];
    char *environment[16] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                             "LC_ALL=C.UTF-8", rootfs, base};
    const char *argv[] = {recipe, NULL};
    struct spawn spawn = {.path = recipe,
                          .argv = argv,
                          .environment = environment,
                          .input = -1,
                          .output = -1,
                          .death_signal = SIGTERM,
                          .private_mounts = true};
    size_t count = 4;

    /* A recipe that outlives a killed `atoll` holds the lock until it ends. */
    spawn.keep_fd = &store->lock_fd;
    (void)snprintf(recipe, sizeof(recipe), "%s/%s/build", recipes, name);
    if (access(recipe, X_OK) < 0)
        return error_set(err, ERR_NOT_FOUND, "there is no recipe %s", recipe);
    if (image_store_begin(store, name, true, folder, err) < 0)
        return -1;
    (void)snprintf(rootfs, sizeof(rootfs), "ATOLL_ROOTFS=%s/rootfs", folder);
    (void)snprintf(base, sizeof(base), "ATOLL_BASE_ROOTFS=%s/base/rootfs", store->path);
    for (size_t i = 0; i < sizeof(inherited) / sizeof(inherited[0]); i++) {
        const char *value = getenv(inherited[i]);

        if (value && snprintf(values[i], sizeof(values[i]), "%s=%s", inherited[i], value) <
                         (int)sizeof(values[i]))
            environment[count++] = values[i];
    }
    if (run(&spawn, recipe, err) < 0)
        return -1;
    return publish(store, name, strchr(rootfs, '=') + 1, name, err);
}

int image_make_import(const struct image_store *store, const char *name, const char *tar,
                      struct error *err)
{
    char folder[IMAGE_PATH_SIZE];
    char rootfs[IMAGE_PATH_SIZE + 16];
    char absolute[PATH_MAX];
    char source[128];
    /* GNU tar strips a leading "/", refuses ".." and creates a link that leads outside only after
     * all files, so that no member is written through it (tar manual, 10.2.3). */
    const char *argv[] = {
        "tar",    "--extract", "--numeric-owner", "--same-owner", "--same-permissions",
        "--file", absolute,    "--directory",     rootfs,         NULL};

    /* Children work in "/". */
    if (!realpath(tar, absolute))
        return error_set_errno(err, errno, "%s", tar);
    if (image_store_begin(store, name, false, folder, err) < 0)
        return -1;
    (void)snprintf(rootfs, sizeof(rootfs), "%s/rootfs", folder);
    if (mkdir(rootfs, 0755) < 0)
        return error_set_errno(err, errno, "%s", rootfs);
    if (spawn_tool(argv, err) < 0)
        return -1;
    (void)snprintf(source, sizeof(source), "%.120s", strrchr(absolute, '/') + 1);
    return publish(store, name, rootfs, source, err);
}
