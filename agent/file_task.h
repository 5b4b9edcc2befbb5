/*
 * The requests of AGENT_FILE_REQUESTS: files of the sandbox seen, made, moved, copied and removed
 * with the rights of one of its users, so that nobody can use the agent to do what he may not.
 * Each goes on in pieces, so that a large folder does not stop the other connections.
 */
#ifndef AGENT_FILE_TASK_H
#define AGENT_FILE_TASK_H

#include "agent/account.h"
#include "agent/file_copy.h"
#include "agent/file_entry.h"
#include "agent/file_removal.h"

/* Zeroed, it is idle. */
struct file_task {
    enum {
        FILE_TASK_IDLE,
        FILE_TASK_LISTING,
        FILE_TASK_COPYING,
        FILE_TASK_REMOVING,
        FILE_TASK_ENDING, /* `errnum` and `count` are to be told */
    } phase;
    int errnum;
    enum agent_stage stage;
    bool of_target; /* MOVE, COPY: `errnum` is about the target, not the path */
    uint64_t count;
    uint32_t flags;
    uint32_t depth; /* FOLDER: levels to show */
    uint32_t limit; /* FOLDER: entries to show */
    uint64_t skip;  /* FOLDER: entries still to be left out */
    bool moves;     /* COPYING: the source is removed afterwards */
    int source_fd;  /* a second descriptor of the folder of `source`, for that */
    char source[NAME_MAX + 1];
    struct account account;
    struct file_names names;
    struct file_copy copy;
    struct file_removal removal;
    struct file_walk walk;
};

/* Begins a request; its failures are told by file_task_pump. STAT's ENTRY goes to the outbox. */
void file_task_begin(struct file_task *task, const struct agent_file_message *message,
                     struct outbox *outbox);

bool file_task_busy(const struct file_task *task);

enum file_task_step {
    FILE_TASK_WAITS, /* idle, or the outbox is full */
    FILE_TASK_MOVED,
    FILE_TASK_DONE,   /* over; `task->count` is to be told */
    FILE_TASK_FAILED, /* over; `ret_error` is to be told */
};

/* Does one piece of the work. */
enum file_task_step file_task_pump(struct file_task *task, struct outbox *outbox,
                                   struct agent_error_message *ret_error);

/* The connection is gone. */
void file_task_abort(struct file_task *task);

#endif
