/* Folders that the CLI makes as root and hands to others. */
#ifndef CLI_FOLDER_H
#define CLI_FOLDER_H

#include "cli/identity.h"

/*
 * Makes the folder when it is missing and gives it owner and mode in any case. The parent must
 * exist (folder_ensure_parents). A symbolic link in its place is refused.
 */
int folder_ensure(const char *path, const struct identity *owner, mode_t mode, struct error *err);

/* Makes the parents of `path` that are missing, root's and 0755. */
int folder_ensure_parents(const char *path, struct error *err);

/* Fails when a folder on the way to `path` is closed to the user, and names it. */
int folder_check_way(const char *path, const struct identity *user, struct error *err);

/* Removes a tree when it exists, without leaving its file system. */
int folder_remove(const char *path, struct error *err);

#endif
