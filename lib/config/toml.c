#include "lib/config/toml.h"

#include "lib/base/util.h"
#include <atoll/cleanup.h>
#include <string.h>

struct toml_name {
    char text[TOML_NAME_MAX + 1];
};

/* A key that was given, to find the second one. `table` indexes `tables`. */
struct toml_seen {
    size_t table;
    struct toml_name key;
};

struct toml_reader {
    const char *at; /* the next byte of the line */
    const char *end;
    unsigned line;
    struct toml_name tables[TOML_TABLES_MAX + 1]; /* the first is the nameless one */
    size_t table_count;
    size_t table; /* the current one */
    struct toml_seen seen[TOML_VALUES_MAX];
    size_t seen_count;
    char string[TOML_TEXT_MAX + 1];
    toml_handler handler;
    void *userdata;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_bare_key(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

/* TOML forbids these in comments and strings alike; a tab is allowed. */
static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static bool at_end(const struct toml_reader *reader)
{
    return reader->at == reader->end;
}

static bool next_is(const struct toml_reader *reader, char c)
{
    return !at_end(reader) && *reader->at == c;
}

static bool take(struct toml_reader *reader, char c)
{
    if (!next_is(reader, c))
        return false;
    reader->at++;
    return true;
}

static bool take_word(struct toml_reader *reader, const char *word)
{
    size_t length = strlen(word);

    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
        return false;
    reader->at += length;
    return true;
}

static void skip_blanks(struct toml_reader *reader)
{
    while (next_is(reader, ' ') || next_is(reader, '\t'))
        reader->at++;
}

/* Only a comment may follow on the line. */
static int expect_line_end(struct toml_reader *reader, const char *after, struct error *err)
{
    skip_blanks(reader);
    if (!at_end(reader) && *reader->at != '#')
        return error_set(err, ERR_INVALID_FIELD, "unexpected text after %s", after);
    return 0;
}

static int read_name(struct toml_reader *reader, const char *what, struct toml_name *ret_name,
                     struct error *err)
{
    const char *start = reader->at;
    size_t length;

    if (next_is(reader, '"') || next_is(reader, '\''))
        return error_set(err, ERR_INVALID_FIELD, "a quoted %s is not supported", what);
    while (!at_end(reader) && is_bare_key(*reader->at))
        reader->at++;
    length = (size_t)(reader->at - start);
    if (length == 0)
        return error_set(err, ERR_INVALID_FIELD,
                         "expected a %s of letters, digits, underscores and dashes", what);
    if (length > TOML_NAME_MAX)
        return error_set(err, ERR_INVALID_FIELD, "a %s of more than %d bytes", what, TOML_NAME_MAX);
    if (next_is(reader, '.'))
        return error_set(err, ERR_INVALID_FIELD, "a dotted %s is not supported", what);
    memcpy(ret_name->text, start, length);
    ret_name->text[length] = '\0';
    return 0;
}

static int read_table(struct toml_reader *reader, struct error *err)
{
    struct toml_name name;

    if (take(reader, '['))
        return error_set(err, ERR_INVALID_FIELD, "an array of tables is not supported");
    skip_blanks(reader);
    if (read_name(reader, "table name", &name, err) < 0)
        return -1;
    skip_blanks(reader);
    if (!take(reader, ']'))
        return error_set(err, ERR_INVALID_FIELD, "expected ] after the table name");
    for (size_t i = 1; i < reader->table_count; i++) {
        if (strcmp(reader->tables[i].text, name.text) == 0)
            return error_set(err, ERR_INVALID_FIELD, "the table [%s] is given twice", name.text);
    }
    if (reader->table_count == ARRAY_SIZE(reader->tables))
        return error_set(err, ERR_INVALID_FIELD, "more than %d tables", TOML_TABLES_MAX);
    reader->table = reader->table_count++;
    reader->tables[reader->table] = name;
    return expect_line_end(reader, "the table header", err);
}

static int remember_key(struct toml_reader *reader, const struct toml_name *key, struct error *err)
{
    for (size_t i = 0; i < reader->seen_count; i++) {
        if (reader->seen[i].table == reader->table &&
            strcmp(reader->seen[i].key.text, key->text) == 0)
            return error_set(err, ERR_INVALID_FIELD, "the key %s is given twice", key->text);
    }
    if (reader->seen_count == TOML_VALUES_MAX)
        return error_set(err, ERR_INVALID_FIELD, "more than %d values", TOML_VALUES_MAX);
    reader->seen[reader->seen_count++] = (struct toml_seen){.table = reader->table, .key = *key};
    return 0;
}

static size_t utf8_encode(uint32_t point, char *ret_bytes)
{
    if (point < 0x80) {
        ret_bytes[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        ret_bytes[0] = (char)(0xc0 | point >> 6);
        ret_bytes[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        ret_bytes[0] = (char)(0xe0 | point >> 12);
        ret_bytes[1] = (char)(0x80 | (point >> 6 & 0x3f));
        ret_bytes[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    ret_bytes[0] = (char)(0xf0 | point >> 18);
    ret_bytes[1] = (char)(0x80 | (point >> 12 & 0x3f));
    ret_bytes[2] = (char)(0x80 | (point >> 6 & 0x3f));
    ret_bytes[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

/* The `digits` hex digits of \u or \U: a Unicode scalar value (TOML 1.0), and not NUL. */
static int read_code_point(struct toml_reader *reader, int digits, uint32_t *ret_point,
                           struct error *err)
{
    uint32_t point = 0;

    for (int i = 0; i < digits; i++, reader->at++) {
        int value = at_end(reader) ? -1 : hex_value(*reader->at);

        if (value < 0)
            return error_set(err, ERR_INVALID_FIELD, "expected %d hex digits in the escape",
                             digits);
        point = point << 4 | (uint32_t)value;
    }
    if (point == 0 || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return error_set(err, ERR_INVALID_FIELD, "the escape is no allowed character");
    *ret_point = point;
    return 0;
}

static int read_escape(struct toml_reader *reader, char *out, size_t *used, struct error *err)
{
    static const char letters[] = "btnfr\"\\";
    static const char bytes[] = "\b\t\n\f\r\"\\";
    const char *letter;
    uint32_t point = 0;

    if (at_end(reader))
        return error_set(err, ERR_INVALID_FIELD, "the string does not end on its line");
    letter = *reader->at != '\0' ? strchr(letters, *reader->at) : NULL;
    if (letter) {
        out[(*used)++] = bytes[letter - letters];
        reader->at++;
        return 0;
    }
    if (*reader->at != 'u' && *reader->at != 'U')
        return error_set(err, ERR_INVALID_FIELD, "unknown escape in a string");
    if (read_code_point(reader, *reader->at++ == 'u' ? 4 : 8, &point, err) < 0)
        return -1;
    *used += utf8_encode(point, out + *used);
    return 0;
}

/* An escape is never shorter than what it stands for, so reader->string cannot overflow. */
static int read_string(struct toml_reader *reader, struct error *err)
{
    char quote = *reader->at++;
    size_t used = 0;

    if (reader->end - reader->at >= 2 && reader->at[0] == quote && reader->at[1] == quote)
        return error_set(err, ERR_INVALID_FIELD, "a multi-line string is not supported");
    while (!take(reader, quote)) {
        if (at_end(reader))
            return error_set(err, ERR_INVALID_FIELD, "the string does not end on its line");
        if (quote == '"' && take(reader, '\\')) {
            if (read_escape(reader, reader->string, &used, err) < 0)
                return -1;
            continue;
        }
        reader->string[used++] = *reader->at++;
    }
    reader->string[used] = '\0';
    return 0;
}

/* Adds one digit to a number that is kept negative, because INT64_MIN has no positive twin. */
static bool push_digit(int64_t *value, char digit)
{
    return !__builtin_mul_overflow(*value, 10, value) &&
           !__builtin_sub_overflow(*value, digit - '0', value);
}

static int read_integer(struct toml_reader *reader, int64_t *ret_value, struct error *err)
{
    bool negative = next_is(reader, '-');
    int64_t value = 0;
    const char *start;

    if (!take(reader, '-'))
        take(reader, '+');
    start = reader->at;
    while (!at_end(reader) && (is_digit(*reader->at) || *reader->at == '_')) {
        bool digit = is_digit(*reader->at);

        if (!digit && (reader->at == start || reader->at + 1 == reader->end ||
                       !is_digit(reader->at[-1]) || !is_digit(reader->at[1])))
            return error_set(err, ERR_INVALID_FIELD,
                             "an underscore of an integer stands between two digits");
        if (digit && !push_digit(&value, *reader->at))
            return error_set(err, ERR_INVALID_FIELD, "the integer is too large");
        reader->at++;
    }
    if (reader->at == start)
        return error_set(err, ERR_INVALID_FIELD, "expected digits");
    if (*start == '0' && reader->at - start > 1)
        return error_set(err, ERR_INVALID_FIELD, "an integer does not start with 0");
    if (!at_end(reader) &&
        (is_bare_key(*reader->at) || next_is(reader, '.') || next_is(reader, ':')))
        return error_set(err, ERR_INVALID_FIELD,
                         "only decimal integers are supported (no floats, dates, 0x…)");
    if (!negative && __builtin_sub_overflow(0, value, &value))
        return error_set(err, ERR_INVALID_FIELD, "the integer is too large");
    *ret_value = value;
    return 0;
}

static int read_value(struct toml_reader *reader, struct toml_value *value, struct error *err)
{
    reader->string[0] = '\0';
    value->string = reader->string;
    if (next_is(reader, '"') || next_is(reader, '\'')) {
        value->type = TOML_STRING;
        return read_string(reader, err);
    }
    if (!at_end(reader) && (is_digit(*reader->at) || *reader->at == '-' || *reader->at == '+')) {
        value->type = TOML_INTEGER;
        return read_integer(reader, &value->integer, err);
    }
    value->type = TOML_BOOL;
    if (take_word(reader, "true")) {
        value->boolean = true;
        return 0;
    }
    if (take_word(reader, "false"))
        return 0;
    return error_set(err, ERR_INVALID_FIELD, "expected a \"string\", an integer, true or false");
}

static int read_pair(struct toml_reader *reader, struct error *err)
{
    struct toml_value value = {.line = reader->line};
    struct toml_name key;

    if (read_name(reader, "key", &key, err) < 0)
        return -1;
    skip_blanks(reader);
    if (!take(reader, '='))
        return error_set(err, ERR_INVALID_FIELD, "expected = after the key %s", key.text);
    skip_blanks(reader);
    if (remember_key(reader, &key, err) < 0 || read_value(reader, &value, err) < 0 ||
        expect_line_end(reader, "the value", err) < 0)
        return -1;
    value.table = reader->tables[reader->table].text;
    value.key = key.text;
    return reader->handler(&value, reader->userdata, err);
}

static int read_line(struct toml_reader *reader, const char *start, const char *end,
                     struct error *err)
{
    if (end > start && end[-1] == '\r')
        end--;
    if (!utf8_valid(start, (size_t)(end - start)))
        return error_set(err, ERR_INVALID_FIELD, "the line is not valid UTF-8");
    for (const char *c = start; c < end; c++) {
        if (is_control(*c))
            return error_set(err, ERR_INVALID_FIELD, "a control character (0x%02x)",
                             (unsigned char)*c);
    }
    reader->at = start;
    reader->end = end;
    skip_blanks(reader);
    if (at_end(reader) || next_is(reader, '#'))
        return 0;
    return take(reader, '[') ? read_table(reader, err) : read_pair(reader, err);
}

int toml_parse(const char *name, const char *text, size_t size, toml_handler handler,
               void *userdata, struct error *err)
{
    _cleanup_free_ struct toml_reader *reader = NULL;
    const char *end = text + size;

    if (size > TOML_TEXT_MAX)
        return error_set(err, ERR_INVALID_FIELD, "%s: more than %d bytes", name, TOML_TEXT_MAX);
    reader = calloc(1, sizeof(*reader));
    if (!reader)
        return error_no_memory(err);
    reader->table_count = 1;
    reader->handler = handler;
    reader->userdata = userdata;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline ? newline : end;

        reader->line++;
        if (read_line(reader, text, line_end, err) < 0)
            return error_wrap(err, "%s:%u", name, reader->line);
        text = newline ? newline + 1 : end;
    }
    return 0;
}
