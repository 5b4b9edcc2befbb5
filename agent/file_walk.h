/*
 * A walk through a folder and what is below it: without recursion, in bounded memory, and in pieces
 * that the caller decides on, because the agent has one thread.
 *
 * Each level holds the open folder. Nothing is looked up by a path twice, so whoever renames a
 * folder or puts a link in its place while the walk goes on cannot lead it elsewhere.
 */
#ifndef AGENT_FILE_WALK_H
#define AGENT_FILE_WALK_H

#include <atoll/agent_proto.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { FILE_WALK_ENTRIES = 8192 };

struct file_level {
    int fd;
    bool changed; /* for the caller; false at first */
    char name[NAME_MAX + 1];
};

/* Zeroed, it is at no level. */
struct file_walk {
    size_t depth; /* levels that are open; the last is the one that is read */
    off_t offset; /* behind the entry at hand */
    size_t at;    /* of the next entry in `entries` */
    size_t size;
    struct file_level levels[AGENT_TREE_DEPTH_MAX];
    _Alignas(8) char entries[FILE_WALK_ENTRIES];
};

/* The level that is read. */
struct file_level *file_walk_top(struct file_walk *walk);

/* Goes down into the folder `name` of `parent`: no link, same mount (else EXDEV). EMLINK when there
 * are AGENT_TREE_DEPTH_MAX levels. Returns 0 or an errno. */
int file_walk_enter(struct file_walk *walk, int parent, const char *name);

/* Puts an opened folder at the first level. */
void file_walk_begin(struct file_walk *walk, int fd);

/* The next entry of the level, without "." and ".."; NULL at its end. Valid until the next call.
 * Returns 0 or an errno. */
int file_walk_next(struct file_walk *walk, const char **ret_name);

/* Begins the level from its first entry again. */
void file_walk_rewind(struct file_walk *walk);

/* Goes back to the level above. */
void file_walk_leave(struct file_walk *walk);

/* Closes all. */
void file_walk_end(struct file_walk *walk);

/* Writes the path of `name` below the first level. False when it does not fit. */
bool file_walk_path(const struct file_walk *walk, const char *name, char *path, size_t size);

#endif
