#include "server/services/command_policies.h"

#include "lib/json/json.h"
#include "lib/policy/command_policy.h"

#include <stdio.h>
#include <string.h>

/* A policy as it is asked; its strings belong to `json`. */
struct stored {
    cJSON *json;
    const char *allow[COMMAND_POLICY_RULES_MAX];
    const char *block[COMMAND_POLICY_RULES_MAX];
    struct command_policy policy;
    bool only_warns;
};

static size_t take_list(const cJSON *json, const char *name,
                        const char *list[static COMMAND_POLICY_RULES_MAX])
{
    const cJSON *entry;
    size_t count = 0;

    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(json, name))
    {
        if (cJSON_IsString(entry) && count < COMMAND_POLICY_RULES_MAX)
            list[count++] = entry->valuestring;
    }
    return count;
}

static int take_stored(const char *text, struct stored *stored, struct error *err)
{
    const char *mode;

    *stored = (struct stored){.json = cJSON_Parse(text)};
    if (!stored->json)
        return error_set(err, ERR_INTERNAL, "a stored command policy cannot be read");
    mode = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(stored->json, "mode"));
    stored->only_warns = mode && strcmp(mode, "warn") == 0;
    stored->policy.allow = stored->allow;
    stored->policy.allow_count = take_list(stored->json, "allow", stored->allow);
    stored->policy.block = stored->block;
    stored->policy.block_count = take_list(stored->json, "block", stored->block);
    return 0;
}

/* Of a policy that only warns: what it refuses is told, and runs. */
static int soften(const struct stored *stored, char *notice, const struct error *refusal,
                  struct error *err)
{
    if (refusal->code != ERR_COMMAND || !stored->only_warns) {
        *err = *refusal;
        return -1;
    }
    if (notice)
        (void)snprintf(notice, COMMAND_NOTICE_SIZE, "warning: %.240s", refusal->message);
    return 0;
}

/* What is asked of a policy: a command, or a text. */
struct question {
    const char *const *argv;
    const char *text;
};

static int ask(const char *policy_json, const struct question *question, char *notice,
               struct error *err)
{
    struct error refusal = {.code = ERR_INTERNAL};
    struct stored stored;
    int status;

    if (take_stored(policy_json, &stored, err) < 0)
        return -1;
    if (question->argv)
        status = command_policy_check(&stored.policy, question->argv, &refusal);
    else
        status = command_policy_check_text(&stored.policy, question->text, &refusal);
    if (status < 0)
        status = soften(&stored, notice, &refusal, err);
    cJSON_Delete(stored.json);
    return status;
}

/* What a text becomes: this shell is the service's, not one that somebody names. */
static bool is_text(const char *const *argv)
{
    return argv[0] && argv[1] && argv[2] && !argv[3] && strcmp(argv[0], "/bin/sh") == 0 &&
           strcmp(argv[1], "-c") == 0;
}

int command_policies_ask(const char *policy_json, const char *const *argv,
                         char notice[COMMAND_NOTICE_SIZE], struct error *err)
{
    struct question question = {.argv = argv};

    if (is_text(argv))
        question = (struct question){.text = argv[2]};
    return ask(policy_json, &question, notice, err);
}

/* Whether the line behind #! names a shell, also by env. */
static bool names_shell(const char *line)
{
    size_t length = strcspn(line, "\n");

    while (length > 0 && strchr(" \t\r", line[length - 1]))
        length--;
    /* sh, bash, dash and the like; `#!/bin/sh -e` too. */
    return memmem(line, length, "sh ", 3) ||
           (length > 1 && memcmp(line + length - 2, "sh", 2) == 0);
}

int command_policies_ask_run(const char *policy_json, const struct sandbox_definition *definition,
                             char notice[COMMAND_NOTICE_SIZE], struct error *err)
{
    const char *entry = definition->entry_point;
    struct question question = {.text = definition->code};
    _cleanup_free_ char *interpreter = NULL;

    if (entry && strpbrk(entry, " \t\n")) {
        question.text = entry;
    } else if (strcmp(definition->runtime, "shell") != 0) {
        return 0;
    } else if (strncmp(definition->code, "#!", 2) == 0 && !names_shell(definition->code)) {
        interpreter = strndup(definition->code + 2, strcspn(definition->code + 2, "\n"));
        if (!interpreter)
            return error_no_memory(err);
        question.text = interpreter;
    }
    return ask(policy_json, &question, notice, err);
}
