/*
 * What is shown of a command's end: its output and signal, for every dialect, and the result of an
 * execution. Functions return NULL, or false, when memory is short.
 */
#ifndef SERVER_HANDLERS_EXECUTION_VIEW_H
#define SERVER_HANDLERS_EXECUTION_VIEW_H

#include "lib/json/json.h"
#include "server/services/execution.h"

enum { SIGNAL_VIEW_SIZE = 16 };

/* "SIGKILL", or NULL for signal 0; *buffer holds it. */
const char *signal_view(int signal, char buffer[static SIGNAL_VIEW_SIZE]);

/*
 * Output as text; *ret_base64 has the exact bytes where the text is not those, else it is NULL.
 * Both are the caller's.
 */
bool output_view(const char *data, size_t size, char **ret_text, char **ret_base64);

/* Both streams so. Owned by the caller: output_texts_done. */
struct output_texts {
    char *out;
    char *out_base64;
    char *err;
    char *err_base64;
};

bool output_texts_fill(const char *out, size_t out_size, const char *err, size_t err_size,
                       struct output_texts *ret_texts);

void output_texts_done(struct output_texts *texts);

/*
 * The fields of a record of `type_` with struct output_texts as `member_`; `omitted_` says whether
 * a *_base64 that is NULL is left out or shown as null.
 */
#define OUTPUT_FIELDS(type_, member_, omitted_)                                                    \
    {.name = "stdout",                                                                             \
     .type = JSON_TYPE_STRING,                                                                     \
     .required = true,                                                                             \
     .max = INT32_MAX,                                                                             \
     .offset = offsetof(type_, member_.out),                                                       \
     .about = "Bytes that are not UTF-8 show as U+FFFD."},                                         \
        {.name = "stdout_base64",                                                                  \
         .type = JSON_TYPE_STRING,                                                                 \
         .omitted = (omitted_),                                                                    \
         .max = INT32_MAX,                                                                         \
         .offset = offsetof(type_, member_.out_base64),                                            \
         .about = "The exact bytes, where stdout is not."},                                        \
        {.name = "stderr",                                                                         \
         .type = JSON_TYPE_STRING,                                                                 \
         .required = true,                                                                         \
         .max = INT32_MAX,                                                                         \
         .offset = offsetof(type_, member_.err)},                                                  \
    {                                                                                              \
        .name = "stderr_base64", .type = JSON_TYPE_STRING, .omitted = (omitted_),                  \
        .max = INT32_MAX, .offset = offsetof(type_, member_.err_base64),                           \
        .about = "The exact bytes, where stderr is not."                                           \
    }

/* The fields of a record of `type_` that tell how a command ended: exit_code and signal. */
#define END_FIELDS(type_)                                                                          \
    {.name = "exit_code",                                                                          \
     .type = JSON_TYPE_INTEGER,                                                                    \
     .max = 255,                                                                                   \
     .offset = offsetof(type_, exit_code),                                                         \
     .about = "null when no process returned one."},                                               \
    {                                                                                              \
        .name = "signal", .type = JSON_TYPE_STRING, .min = 4, .max = SIGNAL_VIEW_SIZE - 1,         \
        .offset = offsetof(type_, signal), .about = "SIGKILL, say; null when it exited."           \
    }

/* Results of POST /sandbox/{id}/execute, and of POST /v1/runs: they name their id differently. */
extern const struct json_table execution_table;
extern const struct json_table v1_run_result_table;

/* The result by one of the two tables; owned by the caller. */
cJSON *execution_view(const struct json_table *table, const struct id *id,
                      const struct execution_result *result);

#endif
