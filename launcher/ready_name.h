/*
 * The name of a sandbox that is ready and nobody's: `ready.<first host uid of its block>.<creation,
 * monotonic microseconds>`. No sandbox's name spells so, and none comes twice until the next boot:
 * what another launcher left behind, which is not ours to remove, is not in the way.
 */
#ifndef LAUNCHER_READY_NAME_H
#define LAUNCHER_READY_NAME_H

#include "lib/base/sandbox_name.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

void ready_name_format(uid_t uid, int64_t created_usec, char name[static SANDBOX_NAME_SIZE]);

/* True only for the exact spelling that ready_name_format writes. */
bool ready_name_valid(const char *name);

#endif
