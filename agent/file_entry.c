#include "agent/file_entry.h"

#include "agent/account.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static uint32_t type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return AGENT_FILE_REGULAR;
    case S_IFDIR:
        return AGENT_FILE_FOLDER;
    case S_IFLNK:
        return AGENT_FILE_LINK;
    case S_IFIFO:
        return AGENT_FILE_FIFO;
    case S_IFSOCK:
        return AGENT_FILE_SOCKET;
    default:
        return AGENT_FILE_DEVICE;
    }
}

static const char *name_of(struct file_name_list *list, const char *database, uint32_t id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].id == id)
            return list->items[i].name;
    if (list->count == FILE_NAMES_MAX)
        return "";
    list->items[list->count].id = id;
    account_find_name(database, id, list->items[list->count].name, AGENT_NAME_MAX);
    return list->items[list->count++].name;
}

bool file_entry_put(struct outbox *outbox, const struct stat *status, const char *path,
                    const char *link, struct file_names *names)
{
    size_t size;
    uint8_t *space = outbox_space(outbox, AGENT_ENTRY_MAX, &size);
    struct agent_entry_message message;

    if (!space)
        return false;
    message = (struct agent_entry_message){
        .type = type_of(status->st_mode),
        .mode = status->st_mode & 07777,
        .uid = status->st_uid,
        .gid = status->st_gid,
        .size = (uint64_t)status->st_size,
        .inode = status->st_ino,
        .mtime_nsec = status->st_mtim.tv_sec * INT64_C(1000000000) + status->st_mtim.tv_nsec,
        .owner = name_of(&names->users, "/etc/passwd", status->st_uid),
        .group = name_of(&names->groups, "/etc/group", status->st_gid),
        .path = path,
        .link = link,
    };
    outbox_commit(outbox, AGENT_FRAME_ENTRY, agent_entry_encode(&message, space, size));
    return true;
}

int file_entry_put_at(struct outbox *outbox, int folder, const char *name, const char *path,
                      struct file_names *names)
{
    char link[AGENT_PATH_MAX] = "";
    struct stat status;
    ssize_t length;

    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return errno;
    if (S_ISLNK(status.st_mode)) {
        length = readlinkat(folder, name, link, sizeof(link) - 1);
        link[length < 0 ? 0 : length] = '\0';
    }
    return file_entry_put(outbox, &status, path, link, names) ? 0 : EAGAIN;
}
