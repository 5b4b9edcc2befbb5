/*
 * WRITE and READ: files of the sandbox, seen through its own mounts and with the rights of its
 * user, so that no path leads out of it.
 *
 * A written file appears whole or not at all: it is made under a temporary name beside its target
 * and renamed. Whatever stands at the target, a FIFO or a device too, is replaced, not opened.
 * Only regular files are read.
 */
#ifndef AGENT_FILE_OP_H
#define AGENT_FILE_OP_H

#include "agent/account.h"
#include "agent/file_path.h"
#include "agent/outbox.h"
#include "lib/agentproto/message.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

struct file_write {
    bool active;
    int folder_fd;
    int fd;
    int errnum; /* the first failure; the rest of the body is dropped */
    enum agent_stage stage;
    uint64_t written;
    struct account account;
    bool as_root;
    uint32_t flags;                   /* AGENT_WRITE_* */
    struct agent_write_message match; /* with MATCH; its strings are not kept */
    char temporary[FILE_TEMPORARY_MAX];
    char name[NAME_MAX + 1];
};

struct file_read {
    bool active;
    int fd;
    bool described;     /* its ENTRY was sent, or not asked for */
    struct stat status; /* of the file when it was opened */
    uint64_t left;      /* bytes that may still be sent */
    off_t offset;
};

/* Begins a file; failures are kept until file_write_end. */
void file_write_begin(struct file_write *op, const struct agent_write_message *message);
void file_write_data(struct file_write *op, const uint8_t *bytes, size_t size);

/*
 * Puts the file in its place; the op is over. Its ENTRY goes to the outbox where it was asked for.
 * Fills `ret_error` and returns false on failure.
 */
bool file_write_end(struct file_write *op, struct outbox *outbox,
                    struct agent_error_message *ret_error);

/* Drops an unfinished file. */
void file_write_abort(struct file_write *op);

/* Opens the file. Fills `ret_error` and returns false on failure. */
bool file_read_begin(struct file_read *op, const struct agent_read_message *message,
                     struct agent_error_message *ret_error);

enum file_read_step {
    FILE_READ_WAITS, /* not active, or the outbox is full */
    FILE_READ_MOVED,
    FILE_READ_DONE,   /* DONE was put into the outbox: over */
    FILE_READ_FAILED, /* ERROR was: over */
};

/* Moves content into the outbox. */
enum file_read_step file_read_pump(struct file_read *op, struct outbox *outbox);
void file_read_abort(struct file_read *op);

#endif
