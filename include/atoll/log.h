/*
 * The logger: one line an event on standard error, as text or JSON.
 *
 * Each line carries the identity set for the thread (tenant, sandbox, request id), so that callers
 * cannot forget it. Only top levels log. Never log a token, a key, a connection string or the
 * content of a user's file. Thread-safe: a line is written by one write(2).
 */
#ifndef ATOLL_LOG_H
#define ATOLL_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* False when `name` is not debug, info, warn or error. */
bool log_level_parse(const char *name, enum log_level *ret_level);

/* `program` must live as long as the process. Until the call: level info, text. */
void log_init(const char *program, enum log_level level, bool json);

/* Sets this thread's identity for the lines to come; NULL leaves a part out. Values are copied. */
void log_identity(const char *tenant, const char *sandbox, const char *request);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* False when a line of the level would not be written: its parts need not be made. */
bool log_wants(enum log_level level);

#define log_debug(...) (log_wants(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
