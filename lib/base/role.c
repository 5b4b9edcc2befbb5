#include "lib/base/util.h"

#include <atoll/role.h>
#include <string.h>

static const char *const words[] = {
#define ROLE_WORD(symbol, word, meaning) [symbol] = (word),
    ROLES(ROLE_WORD)
#undef ROLE_WORD
};

const char *role_name(enum role role)
{
    return words[role];
}

static enum role role_of_word(const char *word, size_t length)
{
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strlen(words[i]) == length && memcmp(words[i], word, length) == 0)
            return (enum role)i;
    return ROLE_NONE;
}

enum role role_of_scope(const char *scope)
{
    enum role highest = ROLE_NONE;

    if (*scope == '\0')
        return ROLE_MEMBER;
    while (*scope != '\0') {
        size_t length = strcspn(scope, " ");
        enum role role = role_of_word(scope, length);

        if (role > highest)
            highest = role;
        scope += length;
        scope += strspn(scope, " ");
    }
    return highest;
}
