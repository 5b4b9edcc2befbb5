/* Words and owners of containers: see atoll/container.h. */
#include "lib/db/connection.h"

#include <atoll/container.h>
#include <stdlib.h>
#include <string.h>

const char *container_reason_name(enum container_reason reason)
{
    static const char *const words[] = {
#define CONTAINER_REASON_WORD(symbol, word, meaning) [symbol] = (word),
        CONTAINER_REASONS(CONTAINER_REASON_WORD)
#undef CONTAINER_REASON_WORD
    };

    return words[reason];
}

void container_spec_free(struct container_spec *spec)
{
    free(spec->name);
    free(spec->client_name);
    free(spec->image);
    free(spec->runtime);
    free(spec->command_json);
    free(spec->entrypoint_json);
    free(spec->env_json);
    free(spec->ports_json);
    free(spec->labels_json);
    free(spec->cap_add_json);
    free(spec->cap_drop_json);
    memset(spec, 0, sizeof(*spec));
}

/* An owner is the result that the strings stand in. */
void container_record_free(struct container_record *record)
{
    PQclear(record->owner);
    memset(record, 0, sizeof(*record));
}

void container_list_free(struct container_list *list)
{
    free(list->items);
    PQclear(list->owner);
    memset(list, 0, sizeof(*list));
}
