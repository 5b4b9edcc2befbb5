/* Rules of a block list. Internal to lib/policy. */
#ifndef LIB_POLICY_RULE_H
#define LIB_POLICY_RULE_H

#include "lib/policy/slice.h"

/*
 * Whether the rule is about the command, whose program is called `name`: it names the program, and
 * its other words are among the arguments. Letters of options count wherever they stand (`-rf` is
 * `-r -f`), absolute paths by where they lead.
 */
bool rule_matches(const char *rule, const char *name, const struct slice *slice);

#endif
