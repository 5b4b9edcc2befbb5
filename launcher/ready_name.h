/*
 * The name of a sandbox that is ready and nobody's: `ready.<id>`. No sandbox's name spells so, and no
 * name comes twice: what another launcher left behind, which is not ours to remove, is not in the
 * way.
 */
#ifndef LAUNCHER_READY_NAME_H
#define LAUNCHER_READY_NAME_H

#include "lib/base/sandbox_name.h"

#include <atoll/id.h>
#include <stdbool.h>

void ready_name_format(const struct id *id, char name[static SANDBOX_NAME_SIZE]);

/* True only for the exact spelling that ready_name_format writes. */
bool ready_name_valid(const char *name);

#endif
