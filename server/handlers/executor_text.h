/*
 * What programs write as JSON text, for the answers of the executor (docs/api/executor.md) and the
 * events of containers (docs/api/containers.md): bytes that are not UTF-8 become U+FFFD, one for
 * each bad byte, and every character at which some reader of lines would end a line is escaped.
 */
#ifndef SERVER_HANDLERS_EXECUTOR_TEXT_H
#define SERVER_HANDLERS_EXECUTOR_TEXT_H

#include "lib/json/json.h"

/* Adds the bytes as they stand inside the quotes of a JSON string. */
void executor_text_add(struct json_text *text, const char *bytes, size_t size);

/* How many of the bytes do not end within a character that the next ones may complete. */
size_t executor_text_whole(const char *bytes, size_t size);

#endif
