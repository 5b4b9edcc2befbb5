#include "lib/auth/reason.h"

static const char *const words[] = {
#define AUTH_REASON_WORD(symbol, word, meaning) [symbol] = (word),
    AUTH_REASONS(AUTH_REASON_WORD)
#undef AUTH_REASON_WORD
};

const char *auth_reason_word(enum auth_reason reason)
{
    return words[reason];
}
