#include "lib/base/util.h"

#include <atoll/sandbox.h>
#include <stdlib.h>
#include <string.h>

static const char *const sandbox_states[] = {
#define SANDBOX_STATE_WORD(symbol, word) [symbol] = (word),
    SANDBOX_STATES(SANDBOX_STATE_WORD)
#undef SANDBOX_STATE_WORD
};

static const char *const process_states[] = {
#define PROCESS_STATE_WORD(symbol, word) [symbol] = (word),
    PROCESS_STATES(PROCESS_STATE_WORD)
#undef PROCESS_STATE_WORD
};

void sandbox_files_free(struct sandbox_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].path);
        free(files->items[i].content);
    }
    free(files->items);
    memset(files, 0, sizeof(*files));
}

void sandbox_definition_free(struct sandbox_definition *definition)
{
    free(definition->runtime);
    free(definition->code);
    free(definition->entry_point);
    free(definition->env_json);
    free(definition->policy_json);
    sandbox_files_free(&definition->files);
    memset(definition, 0, sizeof(*definition));
}

void sandbox_record_free(struct sandbox_record *record)
{
    free(record->runtime);
    free(record->entry_point);
    memset(record, 0, sizeof(*record));
}

/* The index of `word` in `words`, or `count`. */
static size_t find_word(const char *const *words, size_t count, const char *word)
{
    size_t i = 0;

    if (!word)
        return count;
    while (i < count && strcmp(words[i], word) != 0)
        i++;
    return i;
}

const char *sandbox_state_name(enum sandbox_state state)
{
    return sandbox_states[state];
}

bool sandbox_state_parse(const char *word, enum sandbox_state *ret_state)
{
    size_t found = find_word(sandbox_states, ARRAY_SIZE(sandbox_states), word);

    if (found == ARRAY_SIZE(sandbox_states))
        return false;
    *ret_state = (enum sandbox_state)found;
    return true;
}

const char *process_state_name(enum process_state state)
{
    return process_states[state];
}

bool process_state_parse(const char *word, enum process_state *ret_state)
{
    size_t found = find_word(process_states, ARRAY_SIZE(process_states), word);

    if (found == ARRAY_SIZE(process_states))
        return false;
    *ret_state = (enum process_state)found;
    return true;
}

struct process_end process_end_unknown(const struct id *id, enum process_state state)
{
    return (struct process_end){
        .id = *id,
        .state = state,
        .exit_code = -1,
        .cpu_usec = -1,
        .memory_peak_bytes = -1,
        .wall_usec = -1,
    };
}
