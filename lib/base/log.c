#include "lib/base/util.h"

#include <atoll/log.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_MESSAGE_MAX = 2048, LOG_LINE_MAX = 3 * LOG_MESSAGE_MAX, LOG_PART_MAX = 72 };

static struct {
    const char *program;
    enum log_level level;
    bool json;
} log_settings = {"atoll", LOG_INFO, false};

static _Thread_local struct {
    char tenant[LOG_PART_MAX];
    char sandbox[LOG_PART_MAX];
    char request[LOG_PART_MAX];
} identity;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* A line under construction: appends are cut at its end, never beyond. */
struct line {
    char text[LOG_LINE_MAX];
    size_t used;
};

bool log_level_parse(const char *name, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
        if (strcmp(name, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    return false;
}

void log_init(const char *program, enum log_level level, bool json)
{
    log_settings.program = program;
    log_settings.level = level;
    log_settings.json = json;
}

static void keep_part(char part[static LOG_PART_MAX], const char *text)
{
    size_t size = text ? strnlen(text, LOG_PART_MAX - 1) : 0;

    if (size > 0)
        memcpy(part, text, size);
    part[size] = '\0';
}

void log_identity(const char *tenant, const char *sandbox, const char *request)
{
    keep_part(identity.tenant, tenant);
    keep_part(identity.sandbox, sandbox);
    keep_part(identity.request, request);
}

static void line_add(struct line *line, const char *text)
{
    size_t room = sizeof(line->text) - 2 - line->used; /* the newline and a NUL always fit */
    size_t size = strnlen(text, room);

    memcpy(line->text + line->used, text, size);
    line->used += size;
}

/* Control bytes are escaped in both formats: a hostile message cannot forge a second line. */
static void line_add_escaped(struct line *line, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        char piece[8] = {(char)c, '\0'};

        if (c < 0x20 || c == 0x7f)
            (void)snprintf(piece, sizeof(piece), "\\u%04x", c);
        else if (log_settings.json && (c == '"' || c == '\\'))
            (void)snprintf(piece, sizeof(piece), "\\%c", c);
        line_add(line, piece);
    }
}

static void line_add_field(struct line *line, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    line_add(line, log_settings.json ? ",\"" : " ");
    line_add(line, name);
    line_add(line, log_settings.json ? "\":\"" : "=");
    line_add_escaped(line, value);
    if (log_settings.json)
        line_add(line, "\"");
}

static void line_add_time(struct line *line)
{
    struct timespec now;
    struct tm parts;
    char date[32];
    char text[48];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &parts);
    (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text, sizeof(text), "%s.%03ldZ", date, now.tv_nsec / 1000000);
    line_add(line, text);
}

bool log_wants(enum log_level level)
{
    return level >= log_settings.level;
}

void log_write(enum log_level level, const char *format, ...)
{
    char message[LOG_MESSAGE_MAX];
    struct line line;
    va_list args;

    if (!log_wants(level))
        return;
    line.used = 0; /* its text is written as far as it is used */
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);

    if (log_settings.json)
        line_add(&line, "{\"time\":\"");
    line_add_time(&line);
    line_add(&line, log_settings.json ? "\",\"level\":\"" : " ");
    line_add(&line, level_names[level]);
    line_add(&line, log_settings.json ? "\",\"program\":\"" : " ");
    line_add(&line, log_settings.program);
    line_add(&line, log_settings.json ? "\",\"message\":\"" : ": ");
    line_add_escaped(&line, message);
    if (log_settings.json)
        line_add(&line, "\"");
    line_add_field(&line, "tenant", identity.tenant);
    line_add_field(&line, "sandbox", identity.sandbox);
    line_add_field(&line, "request_id", identity.request);
    if (log_settings.json)
        line_add(&line, "}");
    line.text[line.used++] = '\n';
    /* Nobody is left to tell when standard error itself fails. */
    (void)!write(STDERR_FILENO, line.text, line.used);
}
