/*
 * Answers of the executor dialect that may be large. A small one goes out as a whole; of a large
 * one there is no more in memory than what it is made from, for which the executors share a budget.
 */
#ifndef SERVER_HANDLERS_EXECUTOR_ANSWER_H
#define SERVER_HANDLERS_EXECUTOR_ANSWER_H

#include "lib/json/json.h"
#include "server/handlers/call.h"

struct stream;

/* The memory that one request holds of the budget. */
struct executor_memory {
    const struct call *call;
    size_t size; /* bytes that were asked for */
    unsigned pieces;
};

/* For struct process_spec; `user` is the struct. */
bool executor_memory_take(void *user, size_t size);

/* Gives it all back. */
void executor_memory_done(struct executor_memory *memory);

/* An answer in the making. */
struct executor_answer {
    struct call *call;
    struct stream *stream; /* NULL: a small one, gathered in `text`; else that holds a piece */
    struct json_text text;
    bool failed;
};

/* Begins an answer (200, JSON) that is made from so many bytes. */
int executor_answer_begin(struct executor_answer *answer, struct call *call, size_t size,
                          struct error *err);

/* Adds JSON as it is, and bytes as they stand inside the quotes of a string. */
void executor_answer_put(struct executor_answer *answer, const char *json);
void executor_answer_put_bytes(struct executor_answer *answer, const char *bytes, size_t size);

/* Sends what is left, and frees. */
int executor_answer_end(struct executor_answer *answer, struct error *err);

#endif
