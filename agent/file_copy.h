/*
 * COPY: a file, or a folder with all that is in it, in bounded memory and in pieces.
 *
 * The copy is made under a temporary name beside its target and renamed: it appears whole or not at
 * all. Links are copied as links; FIFOs, sockets and devices below a folder are left out.
 */
#ifndef AGENT_FILE_COPY_H
#define AGENT_FILE_COPY_H

#include "agent/file_path.h"
#include "agent/file_walk.h"

#include <stdint.h>
#include <sys/stat.h>

/* What is copied, and where to. The descriptors are of folders. */
struct file_copy_ends {
    int source_fd;
    int target_fd;
    char source[NAME_MAX + 1];
    char target[NAME_MAX + 1];
};

struct file_copy {
    struct file_copy_ends ends;
    bool recursive;
    bool replace;
    bool of_target; /* what failed is about the target, not about what is copied */
    bool made;      /* something stands under the temporary name */
    uint64_t count; /* files, links and folders that were copied */
    char temporary[FILE_TEMPORARY_MAX];
    int in_fd; /* of the file that is copied now, or -1 */
    int out_fd;
    uint64_t left; /* bytes of it: what it grows by meanwhile is not copied */
    mode_t mode;
    struct stat root; /* of the copy's first folder: it must not be copied into itself */
    struct file_walk walk;
    struct {
        int fd;
        mode_t mode;
    } made_levels[AGENT_TREE_DEPTH_MAX]; /* the copies of the walk's levels */
};

/*
 * Copies `ends`, which it takes. Returns 0 when that is done, EINPROGRESS when file_copy_step is to
 * be called, or the errno of the failure. After a failure file_copy_leftover names what was made.
 */
int file_copy_begin(struct file_copy *copy, const struct file_copy_ends *ends, bool recursive,
                    bool replace);
int file_copy_step(struct file_copy *copy);

/* After a failure: true when something stands under the temporary name, which the caller is to
 * remove from the folder `*ret_folder_fd`, now his. */
bool file_copy_leftover(struct file_copy *copy, int *ret_folder_fd);

/* Closes all. An unfinished file is removed; of a folder what was made stays. */
void file_copy_end(struct file_copy *copy);

#endif
