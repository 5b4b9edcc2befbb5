#include "cli/redact.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char hidden[] = "***";

/* The end of a keyword's value: libpq quotes with ' and escapes with \ (libpq, 34.1.1.1). */
static const char *value_end(const char *at, bool in_uri)
{
    bool quoted = !in_uri && *at == '\'';

    if (quoted)
        at++;
    while (*at) {
        if (quoted && *at == '\'')
            return at + 1;
        if (!quoted && (in_uri ? *at == '&' : strchr(" \t\n", *at) != NULL))
            return at;
        at += at[0] == '\\' && at[1] ? 2 : 1;
    }
    return at;
}

/* In scheme://user:password@host: where the password starts, or NULL; *ret_end is its end. */
static const char *uri_password(const char *uri, const char **ret_end)
{
    const char *authority = strstr(uri, "://") + 3;
    size_t length = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', length);
    const char *colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;

    *ret_end = at;
    return colon ? colon + 1 : NULL;
}

static char *append(char *out, const char *from, const char *to)
{
    memcpy(out, from, (size_t)(to - from));
    return out + (to - from);
}

/* After "password", blanks and '=': where its value starts, or NULL when this is no such key. */
static const char *password_value(const char *at)
{
    static const char key[] = "password";

    if (strncasecmp(at, key, sizeof(key) - 1) != 0)
        return NULL;
    at += sizeof(key) - 1;
    at += strspn(at, " \t");
    if (*at != '=')
        return NULL;
    at++;
    return at + strspn(at, " \t");
}

char *redact(const char *text)
{
    /* The shortest password, "password=", grows by the three stars. */
    char *copy = malloc(strlen(text) * 2 + sizeof(hidden));
    bool in_uri = strstr(text, "://") != NULL;
    char *out = copy;

    if (!copy)
        return NULL;
    if (in_uri) {
        const char *end;
        const char *start = uri_password(text, &end);

        if (start) {
            out = append(out, text, start);
            out = append(out, hidden, hidden + sizeof(hidden) - 1);
            text = end;
        }
    }
    while (*text) {
        const char *value = password_value(text);

        if (!value) {
            *out++ = *text++;
            continue;
        }
        out = append(out, text, value);
        out = append(out, hidden, hidden + sizeof(hidden) - 1);
        text = value_end(value, in_uri);
    }
    *out = '\0';
    return copy;
}
