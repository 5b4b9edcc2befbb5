/*
 * The command policies of projects (docs/api/command-policy.md), as they are stored: off, warn or
 * enforce. lib/policy says what a policy lets in.
 */
#ifndef SERVER_SERVICES_COMMAND_POLICIES_H
#define SERVER_SERVICES_COMMAND_POLICIES_H

#include <atoll/error.h>
#include <atoll/sandbox.h>

enum { COMMAND_NOTICE_SIZE = 256 };

/*
 * Asks the stored policy for the NULL-terminated `argv`. ERR_COMMAND where it is enforced and lets
 * it not run; where it only warns, the reason is put into `notice` (NULL: nobody reads it), in
 * visible ASCII. `notice` is not touched when there is nothing to say.
 */
int command_policies_ask(const char *policy_json, const char *const *argv,
                         char notice[COMMAND_NOTICE_SIZE], struct error *err);

/*
 * The same for a definition: for its entry point where that is a command line, and for code that a
 * shell reads. Other code is not looked at.
 */
int command_policies_ask_run(const char *policy_json, const struct sandbox_definition *definition,
                             char notice[COMMAND_NOTICE_SIZE], struct error *err);

#endif
