/*
 * The files that one request writes: all are checked before the first is written. /v1 and the
 * container dialect share it; the tables of their bodies and answers are their own.
 *
 * A batch owns the paths as the sandbox has them and what base64 became; names and other contents
 * belong to the request's JSON.
 */
#pragma once

#include "server/services/files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FILE_BATCH_MAX = 1000, FILE_BATCH_WHERE_SIZE = 32, FILE_BATCH_MODE = 0644 };

/* An entry of the array `files`, decoded. */
struct file_batch_entry {
    const char *path;     /* as the client wrote it */
    const char *content;  /* text, or base64 of bytes */
    const char *encoding; /* "utf-8", "base64"; NULL: utf-8 */
    const char *user;     /* whose rights count; lives as long as the batch */
    uint32_t mode;
    bool keeps_mode; /* a regular file that is there keeps its own; `mode` is a new one's */
};

struct file_batch {
    size_t count;
    const char **names; /* as the client wrote them */
    struct agent_file_content *contents;
    struct error *results; /* of files_write: an empty message is a file that was written */
    char **paths;
    char **decoded;
};

/* Makes room for `count` files; at least for one. ERR_UNAVAILABLE without memory. */
int file_batch_allocate(struct file_batch *batch, size_t count, struct error *err);

void file_batch_free(struct file_batch *batch);

/*
 * Takes the i-th file: ERR_INVALID_FIELD or ERR_NOT_POSSIBLE with `files[i].path` or
 * `files[i].content` where it is not possible.
 */
int file_batch_take(struct file_batch *batch, size_t i, const struct file_batch_entry *entry,
                    struct error *err);

/* Of each file that was not written, says what could not be done in front of why. */
void file_batch_explain(struct file_batch *batch);

/* Writes "files[i]" or, with `name`, "files[i].name" into `ret_where`, `size` bytes of room. */
void file_batch_where(size_t i, const char *name, char *ret_where, size_t size);
