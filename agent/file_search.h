/*
 * SEARCH: files of a folder by their names and by what is in them, with the rights of one of the
 * sandbox's users. It goes on in pieces, so that the other connections have their turn, and is
 * bounded by a number of matches, their bytes and a time; what a bound cut off is told.
 *
 * Links and other mounts are not entered. Lines end with a newline. A file with a zero byte is
 * binary: it is counted, not searched.
 */
#ifndef AGENT_FILE_SEARCH_H
#define AGENT_FILE_SEARCH_H

#include "agent/outbox.h"
#include "lib/agentproto/message.h"

#include <stdbool.h>

struct file_search_state;

/* Zeroed, it is idle. */
struct file_search {
    struct file_search_state *state; /* mapped while it runs; NULL: idle */
};

/* Begins a search. False with `ret_error` when that is not possible. */
bool file_search_begin(struct file_search *search, const struct agent_search_message *message,
                       struct agent_error_message *ret_error);

enum file_search_step {
    FILE_SEARCH_WAITS, /* idle, or the outbox is full */
    FILE_SEARCH_MOVED,
    FILE_SEARCH_DONE, /* over: its last frame was put into the outbox */
};

/* Does one piece of the work. */
enum file_search_step file_search_pump(struct file_search *search, struct outbox *outbox);

/* The connection is gone. */
void file_search_abort(struct file_search *search);

#endif
