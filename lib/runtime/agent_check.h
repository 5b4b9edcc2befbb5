/*
 * What every request to an agent may have in its texts. A text that the protocol's bounds forbid is
 * ERR_INVALID_FIELD with the field named: the agent never gets it.
 */
#ifndef LIB_RUNTIME_AGENT_CHECK_H
#define LIB_RUNTIME_AGENT_CHECK_H

#include <atoll/error.h>
#include <stddef.h>

/* Not empty, and of less than `size` bytes. */
int agent_check_text(const char *field, const char *text, size_t size, struct error *err);

/* Absolute, and of less than AGENT_PATH_MAX bytes. */
int agent_check_path(const char *field, const char *path, struct error *err);

/* The field `user`: a name, which is no number, or "uid:gid", each at most 65,535. Whether the
 * sandbox has it, the agent says. */
int agent_check_user(const char *user, struct error *err);

#endif
