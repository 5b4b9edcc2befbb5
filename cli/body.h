/* Members of requests out of options. Errors are ERR_BAD_REQUEST and name the option. */
#ifndef CLI_BODY_H
#define CLI_BODY_H

#include "cli/verb.h"
#include "lib/json/json.h"

/* Each `--option NAME=VALUE` as a member of the object `member`; none: no object. */
int body_add_pairs(cJSON *body, const struct arguments *arguments, const char *option,
                   const char *member, struct error *err);

/* A size such as 512m or 2g as MiB, when the option came. */
int body_add_size(cJSON *body, const struct arguments *arguments, const char *option,
                  const char *member, struct error *err);

/* A text, when the option came. */
void body_add_text(cJSON *body, const struct arguments *arguments, const char *option,
                   const char *member);

/* A whole file, or standard input for "-", of at most `max` bytes. The result has a NUL behind its
 * end and is the caller's. */
int body_read_input(const char *path, size_t max, char **ret_data, size_t *ret_size,
                    struct error *err);

#endif
