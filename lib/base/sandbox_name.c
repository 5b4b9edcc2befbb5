#include "lib/base/sandbox_name.h"

#include "lib/base/util.h"

#include <stdio.h>
#include <string.h>

void sandbox_name_format(const struct id *id, uint32_t generation,
                         char name[static SANDBOX_NAME_SIZE])
{
    char digits[ID_TEXT_SIZE];

    id_format(id, digits);
    (void)snprintf(name, SANDBOX_NAME_SIZE, "%s.%u", digits, generation);
}

bool sandbox_name_parse(const char *name, struct id *ret_id, uint32_t *ret_generation)
{
    char digits[ID_TEXT_SIZE];
    char again[SANDBOX_NAME_SIZE];
    uint64_t generation;
    struct id id;

    if (strnlen(name, SANDBOX_NAME_SIZE) < ID_TEXT_SIZE + 1 || name[ID_TEXT_SIZE - 1] != '.')
        return false;
    memcpy(digits, name, ID_TEXT_SIZE - 1);
    digits[ID_TEXT_SIZE - 1] = '\0';
    if (!id_parse(digits, &id) || !parse_u64(name + ID_TEXT_SIZE, UINT32_MAX, &generation) ||
        generation == 0)
        return false;
    /* One sandbox, one spelling: upper case and leading zeros are not ours. */
    sandbox_name_format(&id, (uint32_t)generation, again);
    if (strcmp(again, name) != 0)
        return false;
    *ret_id = id;
    *ret_generation = (uint32_t)generation;
    return true;
}
