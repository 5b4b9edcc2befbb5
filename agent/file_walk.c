#include "agent/file_walk.h"

#include "agent/file_path.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

struct file_level *file_walk_top(struct file_walk *walk)
{
    return &walk->levels[walk->depth - 1];
}

static void forget_entries(struct file_walk *walk)
{
    walk->at = walk->size = 0;
}

static void push(struct file_walk *walk, int fd, const char *name)
{
    struct file_level *level = &walk->levels[walk->depth++];

    level->fd = fd;
    level->changed = false;
    /* A name that the kernel has opened is not longer. */
    (void)stpncpy(level->name, name, NAME_MAX);
    level->name[NAME_MAX] = '\0';
    forget_entries(walk);
}

void file_walk_begin(struct file_walk *walk, int fd)
{
    push(walk, fd, "");
}

int file_walk_enter(struct file_walk *walk, int parent, const char *name)
{
    int fd;

    if (walk->depth == AGENT_TREE_DEPTH_MAX)
        return EMLINK;
    fd = file_path_enter(parent, name);
    if (fd < 0)
        return errno;
    /* What was read ahead is read again when the walk comes back. */
    if (walk->depth > 0 && lseek(file_walk_top(walk)->fd, walk->offset, SEEK_SET) < 0) {
        int errnum = errno;

        close(fd);
        return errnum;
    }
    push(walk, fd, name);
    return 0;
}

static int refill(struct file_walk *walk)
{
    ssize_t got = getdents64(file_walk_top(walk)->fd, (void *)walk->entries, sizeof(walk->entries));

    walk->at = 0;
    walk->size = got > 0 ? (size_t)got : 0;
    /* A folder that was removed while it is open has no more entries (getdents64(2)). */
    return got < 0 && errno != ENOENT ? errno : 0;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int file_walk_next(struct file_walk *walk, const char **ret_name)
{
    for (;;) {
        const struct dirent64 *entry;

        if (walk->at == walk->size) {
            int errnum = refill(walk);

            if (errnum != 0)
                return errnum;
        }
        if (walk->size == 0) {
            *ret_name = NULL;
            return 0;
        }
        entry = (const struct dirent64 *)(const void *)(walk->entries + walk->at);
        walk->at += entry->d_reclen;
        walk->offset = entry->d_off;
        if (!is_dots(entry->d_name)) {
            *ret_name = entry->d_name;
            return 0;
        }
    }
}

void file_walk_rewind(struct file_walk *walk)
{
    (void)lseek(file_walk_top(walk)->fd, 0, SEEK_SET);
    forget_entries(walk);
}

void file_walk_leave(struct file_walk *walk)
{
    file_path_close(&file_walk_top(walk)->fd);
    walk->depth--;
    forget_entries(walk);
}

void file_walk_end(struct file_walk *walk)
{
    while (walk->depth > 0)
        file_walk_leave(walk);
}

/* Appends a text; false when it does not fit. */
static bool append(char **end, size_t *left, const char *text)
{
    size_t length = strlen(text);

    if (length >= *left)
        return false;
    memcpy(*end, text, length + 1);
    *end += length;
    *left -= length;
    return true;
}

bool file_walk_path(const struct file_walk *walk, const char *name, char *path, size_t size)
{
    for (size_t i = 1; i < walk->depth; i++)
        if (!append(&path, &size, walk->levels[i].name) || !append(&path, &size, "/"))
            return false;
    return append(&path, &size, name);
}
