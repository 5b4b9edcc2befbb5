/*
 * A file that appears in its place whole or not at all: it is written beside it, under another
 * name, which goes away with an error, and with a signal that ends the program. One at a time.
 */
#ifndef CLI_LOCAL_FILE_H
#define CLI_LOCAL_FILE_H

#include <atoll/cleanup.h>
#include <atoll/error.h>
#include <stdio.h>
#include <sys/types.h>

struct local_file;

/* What stands at the path must be a regular file, or nothing: a link is not followed, and a device
 * not replaced. The caller frees the result. */
int local_file_open(const char *path, struct local_file **ret_file, struct error *err);

FILE *local_file_stream(const struct local_file *file);

/* Puts what was written in its place, with the mode's nine lowest bits. */
int local_file_keep(struct local_file *file, mode_t mode, struct error *err);

/* NULL is allowed. */
void local_file_free(struct local_file *file);

DEFINE_CLEANUP(struct local_file *, local_file, local_file_free)
#define _cleanup_local_file_ _cleanup_(cleanup_local_file)

#endif
