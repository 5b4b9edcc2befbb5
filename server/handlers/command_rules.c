#include "server/handlers/command_rules.h"

#include "lib/base/util.h"

#include <string.h>

enum { RULES_MAX = 256, RULE_MAX = 255 };

#define MODES "off|warn|enforce"

/* Visible ASCII but for what ends a word of a command line: no program or argument is called so. */
#define OPERATORS "|&;<>()"
#define LETTERS   "!-%'*-:=?-{}~"

static const struct json_field rules_fields[] = {
    {.name = "mode",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = MODES,
     .offset = offsetof(struct command_rules, mode),
     .about = "What becomes of a command that the rules refuse: nothing, a warning, 403."},
    {.name = "allow",
     .type = JSON_TYPE_STRINGS,
     .max = RULES_MAX,
     .offset = offsetof(struct command_rules, allow),
     .schema = "{\"items\":{\"type\":\"string\",\"pattern\":\"^[!-%'*-.0-:=?-{}~]{1,255}$\"}}",
     .about = "Names of the programs that may run; all may when it is empty."},
    {.name = "block",
     .type = JSON_TYPE_STRINGS,
     .max = RULES_MAX,
     .offset = offsetof(struct command_rules, block),
     .schema = "{\"items\":{\"type\":\"string\",\"maxLength\":255,"
               "\"pattern\":\"^[" LETTERS "]+( [" LETTERS "]+)*$\"}}",
     .about = "Programs that may not, each with the words that must be among its arguments."},
};
const struct json_table command_rules_table = JSON_TABLE("CommandPolicy", rules_fields);

static const struct json_field view_fields[] = {
    {.name = "mode",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = MODES,
     .offset = offsetof(struct command_rules_view, mode)},
    {.name = "allow",
     .type = JSON_TYPE_STRINGS,
     .required = true,
     .max = RULES_MAX,
     .offset = offsetof(struct command_rules_view, allow)},
    {.name = "block",
     .type = JSON_TYPE_STRINGS,
     .required = true,
     .max = RULES_MAX,
     .offset = offsetof(struct command_rules_view, block)},
};
const struct json_table command_rules_view_table = JSON_TABLE("CommandPolicyView", view_fields);

static bool is_letter(char c)
{
    return c > ' ' && c <= '~' && !strchr(OPERATORS, c);
}

/* One word; words with one space in between, where `has_words`. */
static bool is_rule(const char *text, bool has_words)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < length; i++) {
        bool is_space = has_words && text[i] == ' ' && i > 0 && text[i - 1] != ' ';

        if (!is_space && (!is_letter(text[i]) || (!has_words && text[i] == '/')))
            return false;
    }
    return length > 0 && length <= RULE_MAX && text[length - 1] != ' ';
}

static int check_list(const char *field, const cJSON *list, bool has_words, struct error *err)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, list)
    {
        if (!is_rule(entry->valuestring, has_words))
            return error_set_field(
                err, ERR_INVALID_FIELD, field,
                "'%s' must hold %s in visible ASCII without " OPERATORS ", of 1 to %d bytes", field,
                has_words ? "a program and its words, with one space in between,"
                          : "names of programs, without a path,",
                RULE_MAX);
    }
    return 0;
}

/* The list, or an empty one, as a member of the object. */
static bool put_list(cJSON *object, const char *name, const cJSON *list)
{
    cJSON *copy = list ? cJSON_Duplicate(list, true) : cJSON_CreateArray();

    if (cJSON_AddItemToObject(object, name, copy))
        return true;
    cJSON_Delete(copy);
    return false;
}

int command_rules_store(const struct command_rules *rules, char **ret_json, struct error *err)
{
    _cleanup_cjson_ cJSON *object = NULL;

    *ret_json = NULL;
    if (!rules->mode)
        return 0;
    if (check_list("command_policy.allow", rules->allow, false, err) < 0 ||
        check_list("command_policy.block", rules->block, true, err) < 0)
        return -1;
    object = cJSON_CreateObject();
    if (!cJSON_AddStringToObject(object, "mode", rules->mode) ||
        !put_list(object, "allow", rules->allow) || !put_list(object, "block", rules->block))
        return error_no_memory(err);
    *ret_json = cJSON_PrintUnformatted(object);
    return *ret_json ? 0 : error_no_memory(err);
}

static cJSON *take_list(cJSON *parsed, const char *name)
{
    cJSON *list = cJSON_DetachItemFromObjectCaseSensitive(parsed, name);

    return list ? list : cJSON_CreateArray();
}

bool command_rules_view(const char *json, cJSON **ret_parsed, struct command_rules_view *ret_view)
{
    cJSON *parsed = cJSON_Parse(json ? json : "{\"mode\":\"off\"}");

    if (!parsed)
        return false;
    *ret_view = (struct command_rules_view){
        .mode = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(parsed, "mode")),
        .allow = take_list(parsed, "allow"),
        .block = take_list(parsed, "block"),
    };
    *ret_parsed = parsed;
    return true;
}

void command_notice_add(struct call *call, const char *notice)
{
    if (notice[0] != '\0')
        http_response_header(call->request, "X-Command-Policy", notice);
}
