/*
 * ENTRY: what is known of a file.
 *
 * Names of owners are read from the sandbox's own databases, which are hostile: a task looks up a
 * bounded number of ids, the others go without a name.
 */
#ifndef AGENT_FILE_ENTRY_H
#define AGENT_FILE_ENTRY_H

#include "agent/outbox.h"
#include "lib/agentproto/message.h"

#include <sys/stat.h>

enum { FILE_NAMES_MAX = 16 };

/* Ids of one kind that were looked up. */
struct file_name_list {
    size_t count;
    struct {
        uint32_t id;
        char name[AGENT_NAME_MAX];
    } items[FILE_NAMES_MAX];
};

/* Empty when the counts are 0. */
struct file_names {
    struct file_name_list users;
    struct file_name_list groups;
};

/* Puts an ENTRY into the outbox; false when it has no room now. */
bool file_entry_put(struct outbox *outbox, const struct stat *status, const char *path,
                    const char *link, struct file_names *names);

/* The same for the file `name` in `folder`, no link followed. Returns 0, EAGAIN when there is no
 * room, or another errno. */
int file_entry_put_at(struct outbox *outbox, int folder, const char *name, const char *path,
                      struct file_names *names);

#endif
