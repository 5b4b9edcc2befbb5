/*
 * The name of a sandbox that is ready and nobody's: `ready.<first host uid of its block>`. No id
 * spells so, and two launchers of one host have different blocks.
 */
#ifndef LAUNCHER_READY_NAME_H
#define LAUNCHER_READY_NAME_H

#include "lib/base/sandbox_name.h"

#include <stdbool.h>
#include <sys/types.h>

void ready_name_format(uid_t uid, char name[static SANDBOX_NAME_SIZE]);

/* True only for the exact spelling that ready_name_format writes. */
bool ready_name_valid(const char *name);

#endif
