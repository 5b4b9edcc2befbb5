#include "server/http/accept.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char spaces[] = " \t";

enum { EXACT = 3 };

/* How exactly a range names the type: 0 not at all, 1 by any type, 2 by its subtypes, EXACT itself.
 */
static int exactness(const char *range, size_t length, const char *type, size_t type_length)
{
    size_t family = strcspn(type, "/") + 1;

    if (length == 3 && memcmp(range, "*/*", 3) == 0)
        return 1;
    if (length == family + 1 && range[family] == '*' && strncasecmp(range, type, family) == 0)
        return 2;
    return length == type_length && strncasecmp(range, type, length) == 0 ? EXACT : 0;
}

/* Whether the parameters of a range hold a weight of zero. */
static bool weighs_nothing(const char *parameters, const char *end)
{
    while (parameters < end && *parameters == ';') {
        parameters++;
        parameters += strspn(parameters, spaces);
        if (strncasecmp(parameters, "q=", 2) == 0)
            return strtod(parameters + 2, NULL) <= 0;
        parameters += strcspn(parameters, ";,");
    }
    return false;
}

/* Whether the value allows the type, and in *ret_exact how exact the range is that says so. */
static bool judge(const char *value, const char *media_type, int *ret_exact)
{
    size_t type_length = strcspn(media_type, "; \t");
    bool allowed = false;
    int best = 0;

    while (*value != '\0') {
        const char *range = value + strspn(value, " \t,");
        const char *end = range + strcspn(range, ",");
        size_t length = strcspn(range, "; \t,");
        int found = exactness(range, length, media_type, type_length);

        if (found > best) {
            const char *parameters = range + length;

            allowed = !weighs_nothing(parameters + strspn(parameters, spaces), end);
            best = found;
        }
        value = end;
    }
    *ret_exact = best;
    return allowed;
}

static bool is_absent(const char *value)
{
    return !value || value[strspn(value, spaces)] == '\0';
}

bool accept_allows(const char *value, const char *media_type)
{
    int exact;

    return is_absent(value) || judge(value, media_type, &exact);
}

bool accept_chooses(const char *value, const char *media_type, const char *usual)
{
    int exact;

    return !is_absent(value) && judge(value, media_type, &exact) &&
           (exact == EXACT || !accept_allows(value, usual));
}
