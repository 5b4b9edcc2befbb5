/*
 * The name of everything the launcher makes for one sandbox: `<32 lowercase hex digits>.<decimal
 * generation>`. A folder or cgroup of any other name was made by somebody else and is left alone.
 */
#ifndef LIB_BASE_SANDBOX_NAME_H
#define LIB_BASE_SANDBOX_NAME_H

#include <atoll/id.h>
#include <stdbool.h>
#include <stdint.h>

enum { SANDBOX_NAME_SIZE = ID_TEXT_SIZE + 11 }; /* digits, dot, up to ten digits, NUL */

void sandbox_name_format(const struct id *id, uint32_t generation,
                         char name[static SANDBOX_NAME_SIZE]);

/* True only for the exact spelling that sandbox_name_format writes, generation 1 or more. */
bool sandbox_name_parse(const char *name, struct id *ret_id, uint32_t *ret_generation);

#endif
