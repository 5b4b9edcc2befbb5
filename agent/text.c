#include "agent/text.h"

#include <string.h>

bool text_join(char *target, size_t size, const char *const *texts)
{
    size_t total = 0;
    char *end = target;

    for (size_t i = 0; texts[i]; i++)
        total += strlen(texts[i]);
    if (total >= size)
        return false;
    for (size_t i = 0; texts[i]; i++)
        end = mempcpy(end, texts[i], strlen(texts[i]));
    *end = '\0';
    return true;
}

bool text_copy(char *target, size_t size, const char *text)
{
    return text_join(target, size, (const char *const[]){text, NULL});
}

void text_hex(char *target, const unsigned char *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        *target++ = digits[bytes[i] >> 4];
        *target++ = digits[bytes[i] & 0xf];
    }
    *target = '\0';
}
