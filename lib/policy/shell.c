#include "lib/policy/shell.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <stdlib.h>
#include <string.h>

enum { HEREDOCS_MAX = 16 };

/* A string under construction. */
struct buffer {
    char *text;
    size_t size;
    size_t capacity;
};

/* One word as it is read. */
struct reading {
    struct buffer buffer;
    bool is_known;
    bool is_plain; /* nothing of it was quoted or expanded */
    bool has_brace;
    bool has_bracket;
};

/* A here-document whose body begins behind the next newline. */
struct heredoc {
    char *delimiter;
    bool strips_tabs;
    bool expands;
};

/* What all parsers of one walk share. */
struct walk {
    shell_visitor visit;
    void *user;
    struct error *err;
};

/* Reads one text, from `at` to `end`. */
struct parser {
    const struct walk *walk;
    const char *at;
    const char *end;
    unsigned depth;
    struct heredoc heredocs[HEREDOCS_MAX];
    size_t heredoc_count;
};

/* A command as it is read. */
struct command {
    struct shell_word *words; /* whose texts are owned */
    size_t count;
    size_t capacity;
};

/* What ends a list of commands. */
enum terminator { UNTIL_END, UNTIL_PAREN, UNTIL_ITEM }; /* of UNTIL_ITEM: `;;`, or `esac` */

static int parse_list(struct parser *parser, enum terminator until, bool *ret_esac);
static int parse_dollar(struct parser *parser, struct reading *reading, bool in_double);
static int parse_double_byte(struct parser *parser, struct reading *reading);

/* --- strings */

static int no_memory(const struct parser *parser)
{
    return error_no_memory(parser->walk->err);
}

static int malformed(const struct parser *parser, const char *what)
{
    return error_set(parser->walk->err, ERR_INVALID_FIELD, "%s", what);
}

static int buffer_add(const struct parser *parser, struct buffer *buffer, char byte)
{
    if (buffer->size + 1 >= buffer->capacity) {
        size_t capacity = buffer->capacity == 0 ? 32 : buffer->capacity * 2;
        char *larger = realloc(buffer->text, capacity);

        if (!larger)
            return no_memory(parser);
        buffer->text = larger;
        buffer->capacity = capacity;
    }
    buffer->text[buffer->size++] = byte;
    buffer->text[buffer->size] = '\0';
    return 0;
}

static void reading_done(struct reading *reading)
{
    free(reading->buffer.text);
}
#define _cleanup_reading_ _cleanup_(reading_done)

static char peek(const struct parser *parser, size_t ahead)
{
    return (size_t)(parser->end - parser->at) > ahead ? parser->at[ahead] : '\0';
}

static bool at_end(const struct parser *parser)
{
    return parser->at == parser->end;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static bool ends_word(char byte)
{
    return byte == '\0' || strchr(" \t\n;&|()<>", byte) != NULL;
}

static bool is_name_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_';
}

/* --- nested texts */

static struct parser inner_parser(const struct parser *parser, const char *begin, const char *end)
{
    return (struct parser){
        .walk = parser->walk, .at = begin, .end = end, .depth = parser->depth + 1};
}

static void forget_heredocs(struct parser *parser)
{
    for (size_t i = 0; i < parser->heredoc_count; i++)
        free(parser->heredocs[i].delimiter);
    parser->heredoc_count = 0;
}

/* Walks a part of the text, or a copy of one, as a text of its own. */
static int walk_part(const struct parser *parser, const char *text, size_t size)
{
    struct parser inner = inner_parser(parser, text, text + size);

    return parse_list(&inner, UNTIL_END, NULL);
}

/* Expands a part as double quotes do: what is in it is of interest for its substitutions alone. */
static int scan_part(const struct parser *parser, const char *begin, const char *end)
{
    struct parser inner = inner_parser(parser, begin, end);
    struct reading unneeded = {.is_known = true};
    int status = 0;

    if (inner.depth > SHELL_DEPTH_MAX)
        return malformed(parser, "it is nested too deeply");
    while (!at_end(&inner) && status == 0)
        status = parse_double_byte(&inner, &unneeded);
    reading_done(&unneeded);
    return status;
}

/* Behind `(`, up to its parenthesis. */
static int parse_group(struct parser *parser)
{
    int status;

    parser->depth++;
    status = parse_list(parser, UNTIL_PAREN, NULL);
    parser->depth--;
    return status;
}

/* Behind `$(` or `<(`: here-documents that are open outside of it go on behind it. */
static int parse_inner_group(struct parser *parser)
{
    struct parser inner = inner_parser(parser, parser->at, parser->end);
    int status = parse_list(&inner, UNTIL_PAREN, NULL);

    if (status == 0 && inner.heredoc_count > 0)
        status = malformed(parser, "a here-document has no body");
    forget_heredocs(&inner);
    parser->at = inner.at;
    return status;
}

/* Behind a backquote: what the backslashes in it stand for is a text of its own. */
static int parse_backquotes(struct parser *parser, struct reading *reading, bool in_double)
{
    struct buffer inner = {.text = NULL};
    int status = 0;

    reading->is_known = false;
    while (!at_end(parser) && *parser->at != '`' && status == 0) {
        char next = peek(parser, 1);

        if (*parser->at == '\\' &&
            (next == '`' || next == '\\' || next == '$' || (in_double && next == '"')))
            parser->at++;
        if (!at_end(parser))
            status = buffer_add(parser, &inner, *parser->at++);
    }
    if (status == 0 && at_end(parser))
        status = malformed(parser, "a backquote is not closed");
    parser->at += status == 0;
    if (status == 0 && inner.size > 0)
        status = walk_part(parser, inner.text, inner.size);
    free(inner.text);
    return status;
}

/* --- quotes */

static int parse_single(struct parser *parser, struct reading *reading)
{
    while (!at_end(parser) && *parser->at != '\'')
        if (buffer_add(parser, &reading->buffer, *parser->at++) < 0)
            return -1;
    if (at_end(parser))
        return malformed(parser, "a quote is not closed");
    parser->at++;
    return 0;
}

/* bash reads backslashes in it, sh does not: where that moves its end, neither is believed. */
static int parse_ansi(struct parser *parser, struct reading *reading)
{
    reading->is_known = false;
    while (!at_end(parser) && *parser->at != '\'') {
        if (*parser->at == '\\' && peek(parser, 1) == '\'')
            return malformed(parser, "shells do not agree where a $'...' ends");
        parser->at++;
    }
    if (at_end(parser))
        return malformed(parser, "a quote is not closed");
    parser->at++;
    return 0;
}

/* A backslash between double quotes, or in a here-document. */
static int parse_double_escape(struct parser *parser, struct reading *reading)
{
    char next = peek(parser, 1);

    if (next == '\n') {
        parser->at += 2;
        return 0;
    }
    if (next != '\0' && strchr("$`\"\\", next))
        parser->at++;
    return buffer_add(parser, &reading->buffer, *parser->at++);
}

static int parse_double_byte(struct parser *parser, struct reading *reading)
{
    switch (*parser->at) {
    case '\\':
        return parse_double_escape(parser, reading);
    case '$':
        return parse_dollar(parser, reading, true);
    case '`':
        parser->at++;
        return parse_backquotes(parser, reading, true);
    default:
        return buffer_add(parser, &reading->buffer, *parser->at++);
    }
}

static int parse_double(struct parser *parser, struct reading *reading)
{
    while (!at_end(parser) && *parser->at != '"')
        if (parse_double_byte(parser, reading) < 0)
            return -1;
    if (at_end(parser))
        return malformed(parser, "a quote is not closed");
    parser->at++;
    return 0;
}

/* --- expansions */

/* Behind `${`, up to its brace; what is in it is of interest for its substitutions alone. */
static int parse_braces(struct parser *parser, struct reading *reading, bool in_double)
{
    if (is_blank(peek(parser, 0)) || peek(parser, 0) == '\n' || peek(parser, 0) == '|')
        return malformed(parser, "shells do not agree on ${ with a command in it");
    while (!at_end(parser) && *parser->at != '}') {
        char byte = *parser->at;
        int status = 0;

        if (byte == '\\' && peek(parser, 1) != '\0') {
            parser->at += 2;
        } else if (byte == '\'' && !in_double) {
            parser->at++;
            status = parse_single(parser, reading);
        } else if (byte == '"') {
            parser->at++;
            status = parse_double(parser, reading);
        } else {
            status = parse_double_byte(parser, reading);
        }
        if (status < 0)
            return -1;
    }
    if (at_end(parser))
        return malformed(parser, "a ${ is not closed");
    parser->at++;
    return 0;
}

/* The `))` that ends what `$((` began; NULL when it is a command in parentheses. */
static const char *arithmetic_end(const struct parser *parser, const char *from)
{
    size_t open = 0;

    for (const char *at = from; at < parser->end; at++) {
        if (*at == '\\' || *at == '\'' || *at == '"')
            return NULL;
        if (*at == '(')
            open++;
        if (*at != ')')
            continue;
        if (open == 0)
            return at + 1 < parser->end && at[1] == ')' ? at : NULL;
        open--;
    }
    return NULL;
}

static int parse_substitution(struct parser *parser)
{
    const char *begin = parser->at + 3; /* $(( */
    const char *close = NULL;

    if (peek(parser, 2) == '(')
        close = arithmetic_end(parser, begin);
    parser->at += 2;
    if (!close)
        return parse_inner_group(parser);
    parser->at = close + 2;
    return scan_part(parser, begin, close);
}

static void skip_variable(struct parser *parser)
{
    if (!is_name_byte(*parser->at) || (*parser->at >= '0' && *parser->at <= '9')) {
        parser->at++; /* $1, $?, $@ and the like */
        return;
    }
    while (!at_end(parser) && is_name_byte(*parser->at))
        parser->at++;
}

/* Quotes in an expansion nest by recursion: it counts against the depth. */
static int parse_nested_braces(struct parser *parser, struct reading *reading, bool in_double)
{
    int status;

    if (parser->depth >= SHELL_DEPTH_MAX)
        return malformed(parser, "it is nested too deeply");
    parser->at += 2;
    parser->depth++;
    status = parse_braces(parser, reading, in_double);
    parser->depth--;
    return status;
}

static int parse_dollar(struct parser *parser, struct reading *reading, bool in_double)
{
    char next = peek(parser, 1);

    if (next == '(') {
        reading->is_known = false;
        return parse_substitution(parser);
    }
    if (next == '{') {
        reading->is_known = false;
        return parse_nested_braces(parser, reading, in_double);
    }
    if (next == '\'' && !in_double) {
        parser->at += 2;
        return parse_ansi(parser, reading);
    }
    if (next == '"' && !in_double) { /* of bash; the quote is read next */
        reading->is_known = false;
        parser->at++;
        return 0;
    }
    if (is_name_byte(next) || (next != '\0' && strchr("@*#?-$!", next))) {
        reading->is_known = false;
        parser->at++;
        skip_variable(parser);
        return 0;
    }
    return buffer_add(parser, &reading->buffer, *parser->at++);
}

/* --- words */

/* A backslash outside of quotes. */
static int parse_escape(struct parser *parser, struct reading *reading)
{
    reading->is_plain = false;
    parser->at++;
    if (at_end(parser))
        return buffer_add(parser, &reading->buffer, '\\');
    if (*parser->at == '\n') {
        parser->at++;
        return 0;
    }
    return buffer_add(parser, &reading->buffer, *parser->at++);
}

/* A byte that stands for itself, unless it is one of a pattern, or of a list in braces (bash). */
static int parse_literal(struct parser *parser, struct reading *reading)
{
    char byte = *parser->at++;

    if (byte == '*' || byte == '?' || (reading->has_bracket && byte == ']') ||
        (reading->has_brace && (byte == ',' || byte == '.')))
        reading->is_known = false;
    reading->has_brace = reading->has_brace || byte == '{';
    reading->has_bracket = reading->has_bracket || byte == '[';
    return buffer_add(parser, &reading->buffer, byte);
}

static int parse_word_byte(struct parser *parser, struct reading *reading)
{
    switch (*parser->at) {
    case '\\':
        return parse_escape(parser, reading);
    case '\'':
        reading->is_plain = false;
        parser->at++;
        return parse_single(parser, reading);
    case '"':
        reading->is_plain = false;
        parser->at++;
        return parse_double(parser, reading);
    case '$':
        reading->is_plain = false;
        return parse_dollar(parser, reading, false);
    case '`':
        reading->is_plain = false;
        parser->at++;
        return parse_backquotes(parser, reading, false);
    default:
        return parse_literal(parser, reading);
    }
}

/* True at `<(` and `>(`, which are words of bash. */
static bool at_process_substitution(const struct parser *parser)
{
    char byte = peek(parser, 0);

    return (byte == '<' || byte == '>') && peek(parser, 1) == '(';
}

/* The word at which the text stands; reading_done frees it. */
static int parse_word(struct parser *parser, struct reading *reading)
{
    *reading = (struct reading){.is_known = true, .is_plain = true};
    if (at_process_substitution(parser)) {
        parser->at += 2;
        reading->is_known = reading->is_plain = false;
        if (parse_inner_group(parser) < 0)
            return -1;
    }
    while (!ends_word(peek(parser, 0)))
        if (parse_word_byte(parser, reading) < 0)
            return -1;
    return 0;
}

static bool is_word(const struct reading *reading, const char *word)
{
    return reading->is_plain && reading->buffer.text && strcmp(reading->buffer.text, word) == 0;
}

/* Blanks, continued lines, and comments: a `#` begins one only where a word would. */
static void skip_blanks(struct parser *parser)
{
    for (;;) {
        if (is_blank(peek(parser, 0)))
            parser->at++;
        else if (peek(parser, 0) == '\\' && peek(parser, 1) == '\n')
            parser->at += 2;
        else
            break;
    }
    if (peek(parser, 0) == '#')
        while (!at_end(parser) && *parser->at != '\n')
            parser->at++;
}

/* --- here-documents */

static bool is_delimiter(const char *line, size_t length, const struct heredoc *heredoc)
{
    while (heredoc->strips_tabs && length > 0 && *line == '\t') {
        line++;
        length--;
    }
    return strlen(heredoc->delimiter) == length && memcmp(line, heredoc->delimiter, length) == 0;
}

/* The lines up to the delimiter, or to the end, as shells do. */
static int skip_body(struct parser *parser, const struct heredoc *heredoc)
{
    const char *begin = parser->at;
    const char *body_end = parser->end;

    while (!at_end(parser)) {
        const char *line = parser->at;
        const char *newline = memchr(line, '\n', (size_t)(parser->end - line));
        const char *line_end = newline ? newline : parser->end;

        parser->at = newline ? newline + 1 : parser->end;
        if (is_delimiter(line, (size_t)(line_end - line), heredoc)) {
            body_end = line;
            break;
        }
    }
    return heredoc->expands ? scan_part(parser, begin, body_end) : 0;
}

/* At a newline. */
static int skip_newline(struct parser *parser)
{
    int status = 0;

    parser->at++;
    for (size_t i = 0; i < parser->heredoc_count && status == 0; i++)
        status = skip_body(parser, &parser->heredocs[i]);
    forget_heredocs(parser);
    return status;
}

static int skip_to_word(struct parser *parser)
{
    skip_blanks(parser);
    while (peek(parser, 0) == '\n') {
        if (skip_newline(parser) < 0)
            return -1;
        skip_blanks(parser);
    }
    return 0;
}

static int note_heredoc(struct parser *parser, bool strips_tabs)
{
    _cleanup_reading_ struct reading reading = {.is_known = true};

    if (parse_word(parser, &reading) < 0)
        return -1;
    if (parser->heredoc_count == HEREDOCS_MAX || !reading.buffer.text || !reading.is_known)
        return malformed(parser, "a here-document has no plain delimiter, or there are too many");
    parser->heredocs[parser->heredoc_count++] = (struct heredoc){
        .delimiter = reading.buffer.text,
        .strips_tabs = strips_tabs,
        .expands = reading.is_plain,
    };
    reading.buffer.text = NULL; /* it is the here-document's */
    return 0;
}

/* At `<` or `>`, and not at a process substitution: skips it and what it names. */
static int parse_redirection(struct parser *parser)
{
    _cleanup_reading_ struct reading reading = {.is_known = true};
    bool is_heredoc = peek(parser, 0) == '<' && peek(parser, 1) == '<' && peek(parser, 2) != '<';
    bool strips_tabs = is_heredoc && peek(parser, 2) == '-';

    parser->at++;
    while (peek(parser, 0) != '\0' && strchr("<>&|", peek(parser, 0)))
        parser->at++;
    parser->at += strips_tabs;
    skip_blanks(parser);
    if (is_heredoc)
        return note_heredoc(parser, strips_tabs);
    return parse_word(parser, &reading);
}

/* --- commands */

static void command_clear(struct command *command)
{
    for (size_t i = 0; i < command->count; i++)
        free((char *)command->words[i].text);
    command->count = 0;
}

static void command_done(struct command *command)
{
    command_clear(command);
    free(command->words);
}

/* Moves the reading into the command. */
static int command_add(const struct parser *parser, struct command *command,
                       struct reading *reading)
{
    char *text = reading->buffer.text ? TAKE_PTR(reading->buffer.text) : strdup("");

    if (text && command->count == command->capacity) {
        size_t capacity = command->capacity == 0 ? 8 : command->capacity * 2;
        struct shell_word *larger = reallocarray(command->words, capacity, sizeof(*command->words));

        if (larger) {
            command->words = larger;
            command->capacity = capacity;
        }
    }
    if (!text || command->count == command->capacity) {
        free(text);
        return no_memory(parser);
    }
    command->words[command->count++] =
        (struct shell_word){.text = text, .is_known = reading->is_known};
    return 0;
}

/* The command has ended. */
static int flush(const struct parser *parser, struct command *command)
{
    const struct walk *walk = parser->walk;
    int status = 0;

    if (command->count > 0)
        status = walk->visit(command->words, command->count, parser->depth, walk->user, walk->err);
    command_clear(command);
    return status;
}

/* NAME=, or NAME+=, as it stands there. */
static bool at_assignment(const struct parser *parser)
{
    size_t length = 0;

    while (is_name_byte(peek(parser, length)))
        length++;
    if (length == 0 || (*parser->at >= '0' && *parser->at <= '9'))
        return false;
    length += peek(parser, length) == '+';
    return peek(parser, length) == '=';
}

/* Digits that belong to a redirection: 2> */
static bool at_descriptor(const struct parser *parser)
{
    size_t length = 0;

    while (peek(parser, length) >= '0' && peek(parser, length) <= '9')
        length++;
    return length > 0 && (peek(parser, length) == '<' || peek(parser, length) == '>');
}

static int skip_word(struct parser *parser)
{
    _cleanup_reading_ struct reading reading = {.is_known = true};

    skip_blanks(parser);
    return parse_word(parser, &reading);
}

/* Behind `for`: its name, and its words where it has `in`. */
static int parse_for(struct parser *parser)
{
    const char *before;

    if (skip_word(parser) < 0 || skip_to_word(parser) < 0)
        return -1;
    before = parser->at;
    if (peek(parser, 0) != 'i' || peek(parser, 1) != 'n' || !ends_word(peek(parser, 2)))
        return 0;
    parser->at += 2;
    while (parser->at != before) {
        before = parser->at;
        if (skip_word(parser) < 0)
            return -1;
    }
    return 0;
}

/* One `pattern | pattern)` of a case; *ret_esac: there was none more. */
static int parse_patterns(struct parser *parser, bool *ret_esac)
{
    bool is_first = true;

    if (skip_to_word(parser) < 0)
        return -1;
    if (peek(parser, 0) == '(')
        parser->at++;
    for (;;) {
        _cleanup_reading_ struct reading reading = {.is_known = true};

        skip_blanks(parser);
        if (parse_word(parser, &reading) < 0)
            return -1;
        *ret_esac = is_first && is_word(&reading, "esac");
        if (*ret_esac)
            return 0;
        is_first = false;
        skip_blanks(parser);
        if (peek(parser, 0) != '|' && peek(parser, 0) != ')')
            return malformed(parser, "a case has no patterns");
        if (*parser->at++ == ')')
            return 0;
    }
}

/* Behind `case`. */
static int parse_case(struct parser *parser)
{
    _cleanup_reading_ struct reading in = {.is_known = true};
    bool is_over = false;
    int status = 0;

    if (skip_word(parser) < 0 || skip_to_word(parser) < 0 || parse_word(parser, &in) < 0)
        return -1;
    if (!is_word(&in, "in"))
        return malformed(parser, "a case has no in");
    parser->depth++;
    while (!is_over && status == 0) {
        status = parse_patterns(parser, &is_over);
        if (status == 0 && !is_over)
            status = parse_list(parser, UNTIL_ITEM, &is_over);
    }
    parser->depth--;
    return status;
}

static bool is_one_of(const struct reading *reading, const char *const *words)
{
    for (; *words; words++)
        if (is_word(reading, *words))
            return true;
    return false;
}

/* Where a command begins: 1 when the word was one of the shell's own and is done with. */
static int take_reserved(struct parser *parser, const struct reading *reading)
{
    static const char *const dropped[] = {"if",    "then",  "elif", "else", "fi", "do",     "done",
                                          "while", "until", "!",    "{",    "}",  "coproc", NULL};

    if (is_one_of(reading, dropped))
        return 1;
    if (is_word(reading, "function"))
        return skip_word(parser) < 0 ? -1 : 1;
    if (is_word(reading, "for") || is_word(reading, "select"))
        return parse_for(parser) < 0 ? -1 : 1;
    if (is_word(reading, "case"))
        return parse_case(parser) < 0 ? -1 : 1;
    return 0;
}

/* At a word. *ret_esac: it was the `esac` of the list's case. */
static int take_word(struct parser *parser, struct command *command, bool *ret_esac)
{
    bool is_first = command->count == 0;
    bool is_assignment = is_first && at_assignment(parser);
    _cleanup_reading_ struct reading reading = {.is_known = true};

    if (at_descriptor(parser)) {
        while (*parser->at != '<' && *parser->at != '>')
            parser->at++;
        return 0;
    }
    if (parse_word(parser, &reading) < 0)
        return -1;
    *ret_esac = is_first && is_word(&reading, "esac");
    if (is_assignment || *ret_esac)
        return 0;
    if (is_first) {
        int status = take_reserved(parser, &reading);

        if (status != 0)
            return status < 0 ? -1 : 0;
    }
    return command_add(parser, command, &reading);
}

/* At `(`: a group, or, behind a name, a function, whose body is a command like others. */
static int take_open(struct parser *parser, struct command *command)
{
    parser->at++;
    if (command->count == 0)
        return parse_group(parser);
    skip_blanks(parser);
    if (command->count > 1 || peek(parser, 0) != ')')
        return malformed(parser, "a parenthesis is where none may be");
    parser->at++;
    command_clear(command);
    return 0;
}

/* At `;`, `&` or `|`. *ret_over: it ends the item of a case. */
static int take_operator(struct parser *parser, struct command *command, bool *ret_over)
{
    const char *begin = parser->at;

    while (peek(parser, 0) != '\0' && strchr(";&|", peek(parser, 0)))
        parser->at++;
    *ret_over = parser->at - begin > 1 && *begin == ';';
    return flush(parser, command);
}

static int take_close(struct parser *parser, struct command *command, enum terminator until)
{
    if (until != UNTIL_PAREN)
        return malformed(parser, "a parenthesis is closed that was not opened");
    parser->at++;
    return flush(parser, command);
}

/* One step through a list; *ret_over: it was the last. */
static int parse_step(struct parser *parser, struct command *command, enum terminator until,
                      bool *ret_over, bool *ret_esac)
{
    bool is_item_over = false;
    char byte;

    skip_blanks(parser);
    byte = peek(parser, 0);
    *ret_over = at_end(parser) || byte == ')';
    *ret_esac = false;
    if (at_end(parser))
        return until == UNTIL_END ? flush(parser, command)
                                  : malformed(parser, "a command line ends too early");
    if (byte == '\n')
        return flush(parser, command) < 0 ? -1 : skip_newline(parser);
    if (byte == ')')
        return take_close(parser, command, until);
    if (byte == '(')
        return take_open(parser, command);
    if (byte == ';' || byte == '&' || byte == '|') {
        if (take_operator(parser, command, &is_item_over) < 0)
            return -1;
        *ret_over = until == UNTIL_ITEM && is_item_over;
        return 0;
    }
    if ((byte == '<' || byte == '>') && !at_process_substitution(parser))
        return parse_redirection(parser);
    if (take_word(parser, command, ret_esac) < 0)
        return -1;
    *ret_over = *ret_esac && until == UNTIL_ITEM;
    return 0;
}

/* Commands up to what ends them; *ret_esac (NULL outside of a case): it was `esac`. */
static int parse_list(struct parser *parser, enum terminator until, bool *ret_esac)
{
    struct command command = {.words = NULL};
    bool is_over = false;
    bool is_esac = false;
    int status = 0;

    if (parser->depth > SHELL_DEPTH_MAX)
        return malformed(parser, "it is nested too deeply");
    while (!is_over && status == 0)
        status = parse_step(parser, &command, until, &is_over, &is_esac);
    if (status == 0)
        status = flush(parser, &command);
    command_done(&command);
    if (until == UNTIL_END)
        forget_heredocs(parser);
    if (ret_esac)
        *ret_esac = is_esac;
    return status;
}

int shell_walk(const char *text, unsigned depth, shell_visitor visit, void *user, struct error *err)
{
    const struct walk walk = {visit, user, err};
    size_t size = strlen(text);
    struct parser parser = {.walk = &walk, .at = text, .end = text + size, .depth = depth};

    if (size > SHELL_TEXT_MAX)
        return malformed(&parser, "it is too long");
    return parse_list(&parser, UNTIL_END, NULL);
}
