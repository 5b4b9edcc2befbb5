/*
 * REMOVE: a file, or a folder with all that is in it, however deep, in bounded memory and in
 * pieces.
 *
 * Links are removed, never followed. What lies deeper than a walk has levels is moved up to the
 * first one, and removed from there.
 */
#ifndef AGENT_FILE_REMOVAL_H
#define AGENT_FILE_REMOVAL_H

#include "agent/file_walk.h"

/* Zeroed, it is idle. */
struct file_removal {
    int folder_fd;
    char name[NAME_MAX + 1];
    struct file_walk walk;
};

/*
 * Removes `name` from the folder, whose descriptor it takes. Returns 0 when that is done,
 * EINPROGRESS when file_removal_step is to be called, or the errno of the failure. After anything
 * but EINPROGRESS it is over.
 */
int file_removal_begin(struct file_removal *removal, int folder_fd, const char *name,
                       bool recursive);
int file_removal_step(struct file_removal *removal);

/* Gives up; what was removed is gone. */
void file_removal_abort(struct file_removal *removal);

#endif
