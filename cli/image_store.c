#include "cli/image_store.h"

#include "cli/folder.h"
#include "lib/base/util.h"
#include "lib/json/json.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define BUILDING_PREFIX ".building-"
#define OLD_PREFIX      ".old-"
#define INFO_FOLDER     ".info"

static const struct identity root_identity = {0};

int image_name_check(const char *name, struct error *err)
{
    if (!name_valid(name, IMAGE_NAME_MAX))
        return error_set(err, ERR_INVALID_FIELD,
                         "an image's name has 1 to %d of a-z, 0-9, '.', '_' and '-', and starts "
                         "with a letter or digit",
                         IMAGE_NAME_MAX);
    return 0;
}

static void store_path(const struct image_store *store, const char *prefix, const char *name,
                       char path[static IMAGE_PATH_SIZE])
{
    (void)snprintf(path, IMAGE_PATH_SIZE, "%s/%s%s", store->path, prefix, name);
}

void image_store_close(struct image_store *store)
{
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd);
    store->lock_fd = -1;
}

int image_store_open(const char *state_dir, struct image_store *ret_store, struct error *err)
{
    int size;

    ret_store->lock_fd = -1;
    size = snprintf(ret_store->path, sizeof(ret_store->path), "%s/images", state_dir);
    if (size < 0 || (size_t)size >= sizeof(ret_store->path))
        return error_set(err, ERR_INVALID_FIELD, "state.dir is too long");
    return 0;
}

int image_store_open_locked(const char *state_dir, bool in_use, struct image_store *ret_store,
                            struct error *err)
{
    _cleanup_image_store_ struct image_store store = {.lock_fd = -1};
    char path[IMAGE_PATH_SIZE];

    if (image_store_open(state_dir, &store, err) < 0 ||
        folder_ensure_parents(store.path, err) < 0 ||
        folder_ensure(store.path, &root_identity, 0755, err) < 0)
        return -1;
    store_path(&store, ".lock", "", path);
    store.lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store.lock_fd < 0)
        return error_set_errno(err, errno, "%s", path);
    if (flock(store.lock_fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(err, ERR_CONFLICT, "another command is changing the images");
    if (image_store_sweep(&store, in_use, err) < 0)
        return -1;
    *ret_store = store;
    store.lock_fd = -1;
    return 0;
}

bool image_store_has(const struct image_store *store, const char *name)
{
    char path[IMAGE_PATH_SIZE];

    store_path(store, "", name, path);
    return access(path, F_OK) == 0;
}

int image_store_begin(const struct image_store *store, const char *name, bool open,
                      char path[static IMAGE_PATH_SIZE], struct error *err)
{
    store_path(store, BUILDING_PREFIX, name, path);
    return folder_ensure(path, &root_identity, open ? 0755 : 0700, err);
}

static int write_info(const char *path, const struct image_info *info, struct error *err)
{
    _cleanup_cjson_ cJSON *object = cJSON_CreateObject();
    _cleanup_free_ char *text = NULL;
    _cleanup_close_ int fd = -1;

    if (cJSON_AddStringToObject(object, "name", info->name) &&
        cJSON_AddStringToObject(object, "built_at", info->built_at) &&
        cJSON_AddStringToObject(object, "source", info->source) &&
        cJSON_AddNumberToObject(object, "size_bytes", (double)info->size_bytes))
        text = cJSON_PrintUnformatted(object);
    if (!text)
        return error_no_memory(err);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set_errno(err, errno, "%s", path);
    return write_all(fd, text, strlen(text), err);
}

/* The image's own, and a copy for those who may not enter it. */
static int write_infos(const struct image_store *store, const char *folder,
                       const struct image_info *info, struct error *err)
{
    char path[IMAGE_PATH_SIZE + 16];

    (void)snprintf(path, sizeof(path), "%s/image.json", folder);
    if (write_info(path, info, err) < 0)
        return -1;
    store_path(store, INFO_FOLDER, "", path);
    if (folder_ensure(path, &root_identity, 0755, err) < 0)
        return -1;
    store_path(store, INFO_FOLDER "/", info->name, path);
    return write_info(path, info, err);
}

/* A free name for an old tree: the first number that is not taken. */
static int move_to_old(const struct image_store *store, const char *from, const char *name,
                       struct error *err)
{
    char path[IMAGE_PATH_SIZE];
    char old[IMAGE_NAME_MAX + 16];

    for (int i = 0; i < 10000; i++) {
        (void)snprintf(old, sizeof(old), "%s-%d", name, i);
        store_path(store, OLD_PREFIX, old, path);
        if (renameat2(AT_FDCWD, from, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    return error_set_errno(err, errno, "moving %s away", from);
}

int image_store_publish(const struct image_store *store, const struct image_info *info,
                        struct error *err)
{
    char building[IMAGE_PATH_SIZE];
    char path[IMAGE_PATH_SIZE];

    store_path(store, BUILDING_PREFIX, info->name, building);
    store_path(store, "", info->name, path);
    if (write_infos(store, building, info, err) < 0 ||
        folder_ensure(building, &root_identity, 0700, err) < 0)
        return -1;
    /* The tree must be on disk before it has a name that survives a power cut. */
    sync();
    if (renameat2(AT_FDCWD, building, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EEXIST || renameat2(AT_FDCWD, building, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
        return error_set_errno(err, errno, "%s", path);
    return move_to_old(store, building, info->name, err);
}

int image_store_retire(const struct image_store *store, const char *name, struct error *err)
{
    char path[IMAGE_PATH_SIZE];

    store_path(store, "", name, path);
    if (access(path, F_OK) < 0)
        return error_set(err, ERR_NOT_FOUND, "there is no image %s", name);
    if (move_to_old(store, path, name, err) < 0)
        return -1;
    store_path(store, INFO_FOLDER "/", name, path);
    (void)unlink(path); /* it may be older than the copies */
    return 0;
}

static bool has_prefix(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

int image_store_sweep(const struct image_store *store, bool in_use, struct error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(store->path);
    char path[IMAGE_PATH_SIZE];

    if (!dir)
        return error_set_errno(err, errno, "%s", store->path);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!has_prefix(entry->d_name, BUILDING_PREFIX) &&
            (in_use || !has_prefix(entry->d_name, OLD_PREFIX)))
            continue;
        store_path(store, "", entry->d_name, path);
        if (folder_remove(path, err) < 0)
            return error_wrap(err, "removing the leftover %s", path);
    }
    return 0;
}

int image_store_list(const struct image_store *store,
                     void (*visit)(const struct image_info *info, void *userdata), void *userdata,
                     struct error *err)
{
    return image_catalog_list(store->path, visit, userdata, err);
}
