#include "lib/base/util.h"

#include <atoll/error.h>
#include <stdio.h>
#include <string.h>

enum { UTF8_BYTES_MAX = 4 };

static const struct {
    const char *name;
    int status;
} error_codes[ERROR_CODE_COUNT] = {
#define ERROR_ENTRY(symbol, wire, http_status, meaning) [symbol] = {(wire), (http_status)},
    ERROR_CODES(ERROR_ENTRY)
#undef ERROR_ENTRY
};

/* The bytes of the first character; 0 where there is none. */
static size_t character_size(const char *text)
{
    size_t left = strnlen(text, UTF8_BYTES_MAX);

    for (size_t size = 1; size <= left; size++)
        if (utf8_valid(text, size))
            return size;
    return 0;
}

/*
 * Names and values of a request stand in messages, cut where they are long: also in the middle of a
 * character. What is left of one would make an answer, or a line of the log, that is no JSON.
 */
static void mend_text(char *text)
{
    while (*text != '\0') {
        size_t size = character_size(text);

        if (size == 0)
            *text = '?';
        text += size > 0 ? size : 1;
    }
}

__attribute__((format(printf, 4, 0))) static void error_fill(struct error *err,
                                                             enum error_code code,
                                                             const char *field, const char *format,
                                                             va_list args)
{
    char message[ERROR_MESSAGE_MAX];

    /* The arguments may point into *err, so the text is made beside it first. */
    (void)vsnprintf(message, sizeof(message), format, args);
    err->code = code;
    (void)snprintf(err->field, sizeof(err->field), "%s", field);
    (void)snprintf(err->message, sizeof(err->message), "%s", message);
    mend_text(err->field);
    mend_text(err->message);
    err->limit = 0;
    err->used = 0;
    err->retry_after_s = 0;
}

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
    va_list args;

    if (!err)
        return -1;
    va_start(args, format);
    error_fill(err, code, "", format, args);
    va_end(args);
    return -1;
}

int error_set_field(struct error *err, enum error_code code, const char *field, const char *format,
                    ...)
{
    va_list args;

    if (!err)
        return -1;
    va_start(args, format);
    error_fill(err, code, field, format, args);
    va_end(args);
    return -1;
}

int error_set_limit(struct error *err, enum error_code code, int64_t limit, int64_t used,
                    unsigned retry_after_s, const char *format, ...)
{
    va_list args;

    if (!err)
        return -1;
    va_start(args, format);
    error_fill(err, code, "", format, args);
    va_end(args);
    err->limit = limit;
    err->used = used;
    err->retry_after_s = retry_after_s;
    return -1;
}

int error_set_errno(struct error *err, int errnum, const char *format, ...)
{
    va_list args;
    size_t used;

    if (!err)
        return -1;
    va_start(args, format);
    error_fill(err, ERR_INTERNAL, "", format, args);
    va_end(args);
    used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof(err->message) - used, ": %s",
                   strerrordesc_np(errnum) ? strerrordesc_np(errnum) : "unknown error");
    return -1;
}

int error_no_memory(struct error *err)
{
    return error_set(err, ERR_INTERNAL, "out of memory");
}

int error_wrap(struct error *err, const char *format, ...)
{
    char context[ERROR_MESSAGE_MAX];
    char cause[ERROR_MESSAGE_MAX];
    va_list args;

    if (!err)
        return -1;
    va_start(args, format);
    (void)vsnprintf(context, sizeof(context), format, args);
    va_end(args);
    memcpy(cause, err->message, sizeof(cause));
    /* A context that fills the buffer cuts the cause short; both stay readable. */
    if (snprintf(err->message, sizeof(err->message), "%s: %s", context, cause) < 0)
        err->message[0] = '\0';
    mend_text(err->message);
    return -1;
}

const char *error_code_name(enum error_code code)
{
    return error_codes[code].name;
}

int error_code_status(enum error_code code)
{
    return error_codes[code].status;
}
