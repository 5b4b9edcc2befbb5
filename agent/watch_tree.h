/*
 * The folders that one WATCH watches: which watch descriptor of inotify(7) stands for which folder,
 * and where that folder is below the root. Only data; it asks the kernel nothing.
 *
 * Folders are numbered; 0 is none. The memory is bounded by the type and zeroed is empty, so it can
 * be mapped, and only what is used is touched.
 */
#ifndef AGENT_WATCH_TREE_H
#define AGENT_WATCH_TREE_H

#include <atoll/agent_proto.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WATCH_TREE_BUCKETS = 2 * AGENT_WATCH_FOLDERS_MAX };

struct watch_folder {
    int wd;
    uint32_t parent; /* 0: the root */
    uint32_t first;  /* of its children, the youngest */
    uint32_t next;   /* an older child of the same parent; in the list of free ones, the next */
    uint32_t before; /* a younger one */
    uint32_t chain;  /* of the same bucket */
    char name[NAME_MAX + 1];
};

struct watch_tree {
    uint32_t used; /* numbers that were given out at least once */
    uint32_t free; /* numbers that were given back */
    uint32_t buckets[WATCH_TREE_BUCKETS];
    struct watch_folder folders[AGENT_WATCH_FOLDERS_MAX + 1];
};

/* Forgets all folders. */
void watch_tree_clear(struct watch_tree *tree);

/* The folder of a watch descriptor, or 0. */
uint32_t watch_tree_find(const struct watch_tree *tree, int wd);

/* Adds a folder whose wd is not in the tree; 0 when there is no room. The first is the root. */
uint32_t watch_tree_add(struct watch_tree *tree, int wd, uint32_t parent, const char *name);

/* Puts a folder, not the root, into another place; one below itself is left where it is. */
void watch_tree_move(struct watch_tree *tree, uint32_t folder, uint32_t parent, const char *name);

/* The child of that name that has been there longest, or 0. */
uint32_t watch_tree_child(const struct watch_tree *tree, uint32_t parent, const char *name);

/* A folder without children at or below `folder`. */
uint32_t watch_tree_leaf(const struct watch_tree *tree, uint32_t folder);

/* Removes a folder without children. */
void watch_tree_remove(struct watch_tree *tree, uint32_t folder);

/* Writes the path of `name` in `folder`, or of the folder itself for "", below the root. False when
 * it does not fit. */
bool watch_tree_path(const struct watch_tree *tree, uint32_t folder, const char *name, char *path,
                     size_t size);

#endif
