/* Programs that run another one, such as env and timeout. Internal to lib/policy. */
#ifndef LIB_POLICY_WRAPPER_H
#define LIB_POLICY_WRAPPER_H

#include "lib/policy/slice.h"

#include <atoll/error.h>

/*
 * The command that a command runs, as part of its words; without words when it is none of these
 * programs, or runs nothing. Fails with ERR_NOT_POSSIBLE and the option as the message when nobody
 * can tell where its options end.
 */
int wrapper_unwrap(const struct slice *slice, struct slice *ret_inner, struct error *err);

#endif
