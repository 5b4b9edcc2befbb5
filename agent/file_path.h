/*
 * Paths that a client names, opened inside the sandbox's mounts.
 *
 * The agent is a process of the sandbox and could follow its own /proc/self/fd, /proc/1/root or
 * /proc/self/exe: links that lead where no mount does, its log folder among them. openat2(2) with
 * RESOLVE_NO_MAGICLINKS refuses these with ELOOP; links of the file system are followed.
 */
#ifndef AGENT_FILE_PATH_H
#define AGENT_FILE_PATH_H

#include <atoll/agent_proto.h>
#include <limits.h>
#include <stdbool.h>

/* As openat(2), close-on-exec, without a mode: it makes nothing. */
int file_path_open(int folder, const char *path, int flags);

/* The same for the folder `name` in `folder`: no link, and of the same mount (else EXDEV). */
int file_path_enter(int folder, const char *name);

/* Opens the file `name`, no link, for reading, without waiting for a FIFO. */
int file_path_regular(int folder, const char *name);

/* Opens a folder by its path below another, without any link and of the same mount. */
int file_path_below(int folder, const char *path);

enum { FILE_DESCRIPTOR_PATH_MAX = 32 };

/* Writes the name of a descriptor in the agent's own /proc, for calls that take no descriptor. */
void file_path_of_descriptor(int fd, char path[static FILE_DESCRIPTOR_PATH_MAX]);

/*
 * Splits a path into its folder, opened as O_PATH, and its last name. Slashes at the end are left
 * out. EINVAL for the root and for a path that ends in "." or "..". Returns 0 or an errno.
 */
int file_path_split(const char *path, int *ret_folder, char name[static NAME_MAX + 1]);

enum { FILE_TEMPORARY_MAX = 32 };

/* ".atoll-<16 hex digits>": unique in this agent's life, so a clash is only with a hostile guess,
 * which O_EXCL turns into an error. */
void file_path_temporary(char name[static FILE_TEMPORARY_MAX]);

/* True for names that file_path_temporary or atoll-archive gives: they begin with ".atoll-". */
bool file_path_is_temporary(const char *name);

/* As renameat(2); EEXIST where something is at the target, unless `replace`. */
int file_path_rename(int folder, const char *name, int new_folder, const char *new_name,
                     bool replace);

/* Closes a descriptor unless it is -1, and makes it -1. */
void file_path_close(int *fd);

#endif
