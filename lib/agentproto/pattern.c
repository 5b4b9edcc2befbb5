#include "lib/agentproto/pattern.h"

#include <string.h>

enum step_kind {
    STEP_BYTE,  /* takes one byte */
    STEP_SET,   /* takes a byte of a set */
    STEP_SPLIT, /* goes on at both places */
    STEP_JUMP,
    STEP_LINE_BEGIN,
    STEP_LINE_END,
    STEP_MATCH,
};

struct compiler {
    struct pattern *pattern;
    const char *at;
    bool ignore_case;
    unsigned depth;
    const char *reason; /* the first thing that is wrong */
};

static const char too_large[] = "it is too large";

static void fail(struct compiler *compiler, const char *reason)
{
    if (!compiler->reason)
        compiler->reason = reason;
}

/* --- sets */

static void set_add(struct pattern_set *set, uint8_t byte)
{
    set->bits[byte / 8] = (uint8_t)(set->bits[byte / 8] | 1u << byte % 8);
}

static bool set_has(const struct pattern_set *set, uint8_t byte)
{
    return set->bits[byte / 8] >> byte % 8 & 1;
}

static void set_add_range(struct pattern_set *set, unsigned first, unsigned last)
{
    for (unsigned byte = first; byte <= last; byte++)
        set_add(set, (uint8_t)byte);
}

static bool is_alpha(unsigned c)
{
    return (c | 0x20u) >= 'a' && (c | 0x20u) <= 'z';
}

static bool is_digit(unsigned c)
{
    return c >= '0' && c <= '9';
}

static void set_ignore_case(struct pattern_set *set)
{
    for (unsigned letter = 'A'; letter <= 'Z'; letter++) {
        uint8_t upper = (uint8_t)letter;
        uint8_t lower = (uint8_t)(letter | 0x20);

        if (set_has(set, upper) || set_has(set, lower)) {
            set_add(set, upper);
            set_add(set, lower);
        }
    }
}

/* What of ASCII is not in the set. */
static void set_negate(struct pattern_set *set)
{
    for (size_t i = 0; i < sizeof(set->bits) / 2; i++)
        set->bits[i] = (uint8_t)~set->bits[i];
}

/* --- steps */

static struct pattern_step *add_step(struct compiler *compiler, enum step_kind kind, int first,
                                     int second)
{
    struct pattern *pattern = compiler->pattern;
    struct pattern_step *step = &pattern->steps[pattern->count];

    if (pattern->count == PATTERN_STEPS_MAX) {
        fail(compiler, too_large);
        return NULL;
    }
    *step = (struct pattern_step){
        .kind = (uint8_t)kind, .first = (int16_t)first, .second = (int16_t)second};
    pattern->count++;
    return step;
}

/* Puts a step before those from `start` on; they only point to each other and to their end. */
static void insert_step(struct compiler *compiler, size_t start, enum step_kind kind, int first,
                        int second)
{
    struct pattern *pattern = compiler->pattern;
    struct pattern_step *steps = pattern->steps;

    if (!add_step(compiler, kind, first, second))
        return;
    memmove(steps + start + 1, steps + start, (pattern->count - 1 - start) * sizeof(*steps));
    steps[start] = (struct pattern_step){
        .kind = (uint8_t)kind, .first = (int16_t)first, .second = (int16_t)second};
}

/* Makes what stands from `start` to `middle` and from there on two choices. */
static void alternate(struct compiler *compiler, size_t start, size_t middle)
{
    size_t second = compiler->pattern->count - middle;

    insert_step(compiler, middle, STEP_JUMP, (int)second + 1, 0);
    insert_step(compiler, start, STEP_SPLIT, 1, (int)(middle - start) + 2);
}

static void add_byte(struct compiler *compiler, uint8_t byte)
{
    struct pattern_step *step = add_step(compiler, STEP_BYTE, 1, 0);

    if (step)
        step->value = byte;
}

static void add_set(struct compiler *compiler, const struct pattern_set *set)
{
    struct pattern *pattern = compiler->pattern;
    struct pattern_step *step;
    size_t number = 0;

    while (number < pattern->set_count && memcmp(&pattern->sets[number], set, sizeof(*set)) != 0)
        number++;
    if (number == PATTERN_SETS_MAX) {
        fail(compiler, too_large);
        return;
    }
    if (number == pattern->set_count)
        pattern->sets[pattern->set_count++] = *set;
    step = add_step(compiler, STEP_SET, 1, 0);
    if (step)
        step->value = (uint8_t)number;
}

/* One character that is of ASCII and in the set, or is not of ASCII. */
static void add_wide_set(struct compiler *compiler, const struct pattern_set *ascii)
{
    static const struct {
        uint8_t first;
        uint8_t last;
        uint8_t following;
    } forms[] = {{0xc2, 0xdf, 1}, {0xe0, 0xef, 2}, {0xf0, 0xf4, 3}}; /* RFC 3629 */
    size_t start = compiler->pattern->count;

    add_set(compiler, ascii);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t middle = compiler->pattern->count;
        struct pattern_set lead = {{0}}, rest = {{0}};

        set_add_range(&lead, forms[i].first, forms[i].last);
        set_add_range(&rest, 0x80, 0xbf);
        add_set(compiler, &lead);
        for (unsigned n = 0; n < forms[i].following; n++)
            add_set(compiler, &rest);
        if (!compiler->reason)
            alternate(compiler, start, middle);
    }
}

/* --- atoms */

static void add_literal_byte(struct compiler *compiler, uint8_t byte)
{
    struct pattern_set set = {{0}};

    if (!compiler->ignore_case || !is_alpha(byte)) {
        add_byte(compiler, byte);
        return;
    }
    set_add(&set, byte);
    set_ignore_case(&set);
    add_set(compiler, &set);
}

/* A whole character, so that what is repeated is not the last byte of one. */
static void add_literal(struct compiler *compiler)
{
    do
        add_literal_byte(compiler, (uint8_t)*compiler->at++);
    while (((uint8_t)*compiler->at & 0xc0u) == 0x80u);
}

static void add_class(struct pattern_set *set, bool (*has)(unsigned))
{
    for (unsigned byte = 0; byte < 0x80; byte++)
        if (has(byte))
            set_add(set, (uint8_t)byte);
}

static bool is_alnum(unsigned c)
{
    return is_alpha(c) || is_digit(c);
}

static bool is_word(unsigned c)
{
    return is_alnum(c) || c == '_';
}

static bool is_upper(unsigned c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(unsigned c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_blank(unsigned c)
{
    return c == ' ' || c == '\t';
}

static bool is_space(unsigned c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_control(unsigned c)
{
    return c < 0x20 || c == 0x7f;
}

static bool is_print(unsigned c)
{
    return c >= 0x20 && c < 0x7f;
}

static bool is_graph(unsigned c)
{
    return c > 0x20 && c < 0x7f;
}

static bool is_punct(unsigned c)
{
    return is_graph(c) && !is_alnum(c);
}

static bool is_xdigit(unsigned c)
{
    return is_digit(c) || ((c | 0x20u) >= 'a' && (c | 0x20u) <= 'f');
}

/* POSIX 9.3.5, [:name:]. False when there is no such class. */
static bool take_class(struct compiler *compiler, struct pattern_set *set)
{
    static const struct {
        const char *name;
        bool (*has)(unsigned);
    } classes[] = {
        {"[:alpha:]", is_alpha}, {"[:digit:]", is_digit},   {"[:alnum:]", is_alnum},
        {"[:upper:]", is_upper}, {"[:lower:]", is_lower},   {"[:blank:]", is_blank},
        {"[:space:]", is_space}, {"[:cntrl:]", is_control}, {"[:print:]", is_print},
        {"[:graph:]", is_graph}, {"[:punct:]", is_punct},   {"[:xdigit:]", is_xdigit},
    };

    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        size_t length = strlen(classes[i].name);

        if (strncmp(compiler->at, classes[i].name, length) != 0)
            continue;
        add_class(set, classes[i].has);
        compiler->at += length;
        return true;
    }
    fail(compiler, "a bracket has an unknown class");
    return false;
}

/* One character or range of a bracket. */
static void take_range(struct compiler *compiler, struct pattern_set *set)
{
    unsigned first = (uint8_t)*compiler->at++;
    unsigned last = first;

    if (compiler->at[0] == '-' && compiler->at[1] != ']' && compiler->at[1] != '\0') {
        last = (uint8_t)compiler->at[1];
        compiler->at += 2;
    }
    if (first >= 0x80 || last >= 0x80)
        fail(compiler, "a bracket has a character that is not of ASCII");
    else if (first > last)
        fail(compiler, "a bracket has a range that ends before it begins");
    else
        set_add_range(set, first, last);
}

static void add_bracket(struct compiler *compiler)
{
    struct pattern_set set = {{0}};
    bool negated = *compiler->at == '^';
    const char *begin;

    compiler->at += negated;
    begin = compiler->at; /* a ] that stands first is itself */
    while (*compiler->at && (*compiler->at != ']' || compiler->at == begin) && !compiler->reason) {
        if (compiler->at[0] == '[' && strchr(":.=", compiler->at[1]) && compiler->at[1] != '\0')
            (void)take_class(compiler, &set);
        else
            take_range(compiler, &set);
    }
    if (!compiler->reason && *compiler->at == '\0')
        fail(compiler, "a bracket is not closed");
    if (compiler->reason)
        return;
    compiler->at++;
    if (compiler->ignore_case)
        set_ignore_case(&set);
    if (negated)
        set_negate(&set);
    if (negated)
        add_wide_set(compiler, &set);
    else
        add_set(compiler, &set);
}

static void add_escape(struct compiler *compiler)
{
    static const struct {
        char letter;
        bool (*has)(unsigned);
    } classes[] = {{'d', is_digit}, {'w', is_word}, {'s', is_space}};
    struct pattern_set set = {{0}};
    char c = *compiler->at;

    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (c == classes[i].letter) {
            compiler->at++;
            add_class(&set, classes[i].has);
            add_set(compiler, &set);
            return;
        }
    }
    if (c == 't')
        add_byte(compiler, '\t');
    else if (is_punct((uint8_t)c))
        add_byte(compiler, (uint8_t)c);
    else
        fail(compiler, "a backslash stands before what it gives no meaning");
    compiler->at++;
}

static void add_any(struct compiler *compiler)
{
    struct pattern_set set = {{0}};

    set_add_range(&set, 0, 0x7f);
    add_wide_set(compiler, &set);
}

/* --- the grammar of POSIX 9.5.3 */

/* A group that is being read: where it and its choice at hand begin. */
struct group {
    size_t start;
    size_t branch;
    bool has_choice; /* a choice before the one at hand */
};

static void end_branch(struct compiler *compiler, struct group *group)
{
    if (group->has_choice && !compiler->reason)
        alternate(compiler, group->start, group->branch);
    group->has_choice = true;
    group->branch = compiler->pattern->count;
}

/* Copies the steps from `start` on to their end. */
static void copy_steps(struct compiler *compiler, size_t start, size_t size)
{
    struct pattern *pattern = compiler->pattern;

    if (size > PATTERN_STEPS_MAX - pattern->count) {
        fail(compiler, too_large);
        return;
    }
    memcpy(pattern->steps + pattern->count, pattern->steps + start, size * sizeof(*pattern->steps));
    pattern->count += size;
}

static void make_optional(struct compiler *compiler, size_t start)
{
    size_t size = compiler->pattern->count - start;

    insert_step(compiler, start, STEP_SPLIT, 1, (int)size + 1);
}

static void make_repeated(struct compiler *compiler, size_t start)
{
    int size = (int)(compiler->pattern->count - start);

    (void)add_step(compiler, STEP_SPLIT, -size, 1);
}

/* At least `least` and at most `most` times, -1: any number. */
static void repeat(struct compiler *compiler, size_t start, int least, int most)
{
    size_t size = compiler->pattern->count - start;
    int times = most < 0 ? (least > 0 ? least : 1) : most;
    size_t last = start;

    if (times == 0)
        compiler->pattern->count = start;
    for (int i = 0; i < times && !compiler->reason; i++) {
        size_t begin = compiler->pattern->count;

        if (i > 0)
            copy_steps(compiler, last, size);
        else
            begin = start;
        last = begin;
        if (i + 1 == times && most < 0 && !compiler->reason)
            make_repeated(compiler, begin);
        if (i >= least && !compiler->reason) {
            make_optional(compiler, begin);
            last = begin + 1;
        }
    }
}

static bool take_number(struct compiler *compiler, int *ret_number)
{
    int number = 0;

    if (!is_digit((uint8_t)*compiler->at))
        return false;
    while (is_digit((uint8_t)*compiler->at) && number <= PATTERN_REPEAT_MAX)
        number = number * 10 + (*compiler->at++ - '0');
    *ret_number = number;
    return number <= PATTERN_REPEAT_MAX;
}

/* {m}, {m,} and {m,n}, behind the brace. */
static void take_interval(struct compiler *compiler, size_t start)
{
    int least = 0, most;
    bool valid = take_number(compiler, &least);

    most = least;
    if (valid && *compiler->at == ',') {
        compiler->at++;
        most = -1;
        if (*compiler->at != '}')
            valid = take_number(compiler, &most) && most >= least;
    }
    if (!valid || *compiler->at != '}') {
        fail(compiler, "braces hold no numbers from 0 to 255");
        return;
    }
    compiler->at++;
    repeat(compiler, start, least, most);
}

/* All of * + ? {} that stand behind the atom. */
static void take_repeats(struct compiler *compiler, size_t start)
{
    while (!compiler->reason) {
        switch (*compiler->at) {
        case '*':
            repeat(compiler, start, 0, -1);
            break;
        case '+':
            repeat(compiler, start, 1, -1);
            break;
        case '?':
            repeat(compiler, start, 0, 1);
            break;
        case '{':
            compiler->at++;
            take_interval(compiler, start);
            continue;
        default:
            return;
        }
        compiler->at++;
    }
}

/* Anything but a group. */
static void take_atom(struct compiler *compiler)
{
    char c = *compiler->at;

    if (strchr("*+?{", c)) {
        fail(compiler, "there is nothing before a * + ? or {");
        return;
    }
    if (!strchr(".[\\^$", c)) {
        add_literal(compiler);
        return;
    }
    compiler->at++;
    if (c == '.')
        add_any(compiler);
    else if (c == '[')
        add_bracket(compiler);
    else if (c == '\\')
        add_escape(compiler);
    else
        (void)add_step(compiler, c == '^' ? STEP_LINE_BEGIN : STEP_LINE_END, 1, 0);
}

static void open_group(struct compiler *compiler, struct group *groups)
{
    size_t count = compiler->pattern->count;

    if (compiler->depth == PATTERN_DEPTH_MAX) {
        fail(compiler, "groups are nested too deeply");
        return;
    }
    compiler->at++;
    groups[compiler->depth++] = (struct group){.start = count, .branch = count};
}

static void close_group(struct compiler *compiler, struct group *groups)
{
    struct group *group = &groups[compiler->depth - 1];

    if (compiler->depth == 1) {
        fail(compiler, "a ) has no (");
        return;
    }
    end_branch(compiler, group);
    compiler->depth--;
    compiler->at++;
    take_repeats(compiler, group->start);
}

static void compile_regex(struct compiler *compiler)
{
    struct group groups[PATTERN_DEPTH_MAX] = {{.start = 0}};

    compiler->depth = 1;
    while (!compiler->reason && *compiler->at) {
        size_t start = compiler->pattern->count;

        if (*compiler->at == '(') {
            open_group(compiler, groups);
        } else if (*compiler->at == ')') {
            close_group(compiler, groups);
        } else if (*compiler->at == '|') {
            end_branch(compiler, &groups[compiler->depth - 1]);
            compiler->at++;
        } else {
            take_atom(compiler);
            take_repeats(compiler, start);
        }
    }
    if (compiler->depth > 1)
        fail(compiler, "a ( is not closed");
    end_branch(compiler, &groups[0]);
}

/* --- searching */

/* Adds a state and all that it leads to without a byte. */
static void add_state(struct pattern_search *search, const struct pattern *pattern, unsigned list,
                      size_t *inout_count, uint16_t state, bool at_end)
{
    uint16_t stack[PATTERN_STEPS_MAX + 1]; /* a state enters it once for each of two ways to it */
    size_t depth = 0;

    for (;;) {
        const struct pattern_step *step = &pattern->steps[state];
        bool goes_on = false;

        if (search->seen[state] != search->turn) {
            search->seen[state] = search->turn;
            if (step->kind <= STEP_SET || (step->kind == STEP_LINE_END && !at_end))
                search->states[list][(*inout_count)++] = state;
            search->matched |= step->kind == STEP_MATCH;
            goes_on = step->kind == STEP_SPLIT || step->kind == STEP_JUMP ||
                      (step->kind == STEP_LINE_BEGIN && !search->begun) ||
                      (step->kind == STEP_LINE_END && at_end);
            if (step->kind == STEP_SPLIT)
                stack[depth++] = (uint16_t)(state + step->second);
        }
        if (goes_on)
            state = (uint16_t)(state + step->first);
        else if (depth > 0)
            state = stack[--depth];
        else
            return;
    }
}

static bool takes(const struct pattern *pattern, const struct pattern_step *step, uint8_t byte)
{
    if (step->kind == STEP_BYTE)
        return step->value == byte;
    return step->kind == STEP_SET && set_has(&pattern->sets[step->value], byte);
}

static void next_turn(struct pattern_search *search)
{
    if (++search->turn == 0) {
        memset(search->seen, 0, sizeof(search->seen));
        search->turn = 1;
    }
}

void pattern_begin(struct pattern_search *search)
{
    search->matched = search->begun = false;
    search->count = 0;
}

/* A match may begin at every byte; then all that are in progress take the byte. */
static void take_byte(struct pattern_search *search, const struct pattern *pattern, uint8_t byte)
{
    size_t count = 0;

    next_turn(search);
    for (size_t i = 0; i < search->count; i++)
        search->seen[search->states[0][i]] = search->turn;
    add_state(search, pattern, 0, &search->count, 0, false);
    search->begun = true;
    if (search->matched)
        return;
    next_turn(search);
    for (size_t i = 0; i < search->count; i++) {
        uint16_t state = search->states[0][i];

        if (takes(pattern, &pattern->steps[state], byte))
            add_state(search, pattern, 1, &count, (uint16_t)(state + 1), false);
    }
    memcpy(search->states[0], search->states[1], count * sizeof(search->states[0][0]));
    search->count = count;
}

size_t pattern_search(struct pattern_search *search, const struct pattern *pattern,
                      const uint8_t *bytes, size_t size, size_t *inout_work)
{
    size_t at = 0;

    while (at<size && * inout_work> 0 && !search->matched) {
        size_t cost = 1 + search->count;

        if (search->count == 0 && !set_has(&pattern->begins, bytes[at])) {
            search->begun = true;
        } else {
            take_byte(search, pattern, bytes[at]);
            cost += 1 + search->count;
        }
        *inout_work -= cost < *inout_work ? cost : *inout_work;
        at++;
    }
    return at;
}

bool pattern_end(struct pattern_search *search, const struct pattern *pattern)
{
    size_t count = 0;

    next_turn(search);
    for (size_t i = 0; i < search->count; i++)
        if (pattern->steps[search->states[0][i]].kind == STEP_LINE_END)
            add_state(search, pattern, 1, &count, search->states[0][i], true);
    add_state(search, pattern, 1, &count, 0, true);
    return search->matched;
}

/* --- making one */

/* Every byte that takes the begin of a match on; of a line's begin too, which is more than enough.
 */
static void find_begins(struct pattern *pattern)
{
    struct pattern_search search = {.matched = false};
    size_t count = 0;

    next_turn(&search);
    add_state(&search, pattern, 0, &count, 0, true);
    if (search.matched) /* it may be empty: then it can begin anywhere */
        memset(&pattern->begins, 0xff, sizeof(pattern->begins));
    for (size_t i = 0; i < count; i++) {
        const struct pattern_step *step = &pattern->steps[search.states[0][i]];

        if (step->kind == STEP_BYTE)
            set_add(&pattern->begins, step->value);
        else
            for (size_t j = 0; j < sizeof(pattern->begins.bits); j++)
                pattern->begins.bits[j] |= pattern->sets[step->value].bits[j];
    }
}

const char *pattern_compile(struct pattern *pattern, const char *text,
                            const struct pattern_options *options)
{
    struct compiler compiler = {
        .pattern = pattern, .at = text, .ignore_case = options->ignore_case};

    pattern->count = pattern->set_count = 0;
    memset(&pattern->begins, 0, sizeof(pattern->begins));
    if (strlen(text) >= PATTERN_TEXT_MAX || strchr(text, '\n'))
        return strchr(text, '\n') ? "it has more than one line" : too_large;
    if (options->regex)
        compile_regex(&compiler);
    else
        while (*compiler.at && !compiler.reason)
            add_literal_byte(&compiler, (uint8_t)*compiler.at++);
    (void)add_step(&compiler, STEP_MATCH, 0, 0);
    if (!compiler.reason)
        find_begins(pattern);
    return compiler.reason;
}
