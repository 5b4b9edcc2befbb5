/*
 * Command policies in requests and answers (docs/api/command-policy.md): a member of projects, and
 * the header field that a warning comes in.
 */
#ifndef SERVER_HANDLERS_COMMAND_RULES_H
#define SERVER_HANDLERS_COMMAND_RULES_H

#include "server/handlers/call.h"
#include "server/services/command_policies.h"

/* As a caller gives one: embedded by a field of type RECORD. `mode` NULL: not given. */
struct command_rules {
    const char *mode;
    const cJSON *allow;
    const cJSON *block;
};

/* As it is shown. */
struct command_rules_view {
    const char *mode;
    cJSON *allow;
    cJSON *block;
};

extern const struct json_table command_rules_table;
extern const struct json_table command_rules_view_table;

/* Checks the rules and makes their stored form, the caller's; NULL when none were given. */
int command_rules_store(const struct command_rules *rules, char **ret_json, struct error *err);

/* What is shown of a stored form (NULL: off). `parsed`, the caller's, owns the mode. False when
 * memory is short. */
bool command_rules_view(const char *json, cJSON **ret_parsed, struct command_rules_view *ret_view);

/* Adds the field X-Command-Policy to the answer to come, where there is a notice. */
void command_notice_add(struct call *call, const char *notice);

#endif
