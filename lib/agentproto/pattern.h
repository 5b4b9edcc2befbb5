/*
 * Searching lines for a text or a POSIX extended regular expression, in bounded memory and time.
 *
 * The C library's regcomp(3) allocates and its regexec(3) cannot be interrupted; both can be made
 * to use any amount of memory or time by who writes the expression. Here an expression becomes at
 * most PATTERN_STEPS_MAX steps of an automaton, all of whose states go on side by side (Thompson
 * 1968): each byte costs at most that many steps, whatever the expression, and a line can be left
 * in the middle and taken up again. Both sides use it: the host to refuse what is no expression,
 * the agent to search.
 *
 * Understood: literals, `.`, brackets with ranges, negation and classes ([[:alpha:]]), `*` `+` `?`
 * `{m,n}`, `|`, groups, `^` and `$`, a backslash before punctuation, \d \w \s and \t. Characters
 * are those of UTF-8; within brackets, and for the ignoring of case, only ASCII.
 */
#ifndef LIB_AGENTPROTO_PATTERN_H
#define LIB_AGENTPROTO_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PATTERN_TEXT_MAX = 1024, /* bytes, the zero byte included */
    PATTERN_STEPS_MAX = 2048,
    PATTERN_SETS_MAX = 64,
    PATTERN_REPEAT_MAX = 255, /* POSIX: RE_DUP_MAX */
    PATTERN_DEPTH_MAX = 32,   /* of groups */
};

struct pattern_set {
    uint8_t bits[32]; /* a bit for each byte */
};

struct pattern_step {
    uint8_t kind;  /* enum step_kind of pattern.c */
    uint8_t value; /* a byte, or the number of a set */
    int16_t first; /* where it goes on, from this step */
    int16_t second;
};

struct pattern {
    size_t count;
    size_t set_count;
    struct pattern_set begins; /* bytes that a match can begin with */
    struct pattern_step steps[PATTERN_STEPS_MAX];
    struct pattern_set sets[PATTERN_SETS_MAX];
};

struct pattern_options {
    bool regex; /* else the text itself */
    bool ignore_case;
};

/* Makes the pattern of a text without newlines. NULL, or what is wrong with it: a constant. */
const char *pattern_compile(struct pattern *pattern, const char *text,
                            const struct pattern_options *options);

/* How far a line has been searched. */
struct pattern_search {
    bool matched;
    bool begun;   /* it is not at the line's begin any more */
    size_t count; /* states that a match in progress is in */
    uint32_t turn;
    uint32_t seen[PATTERN_STEPS_MAX]; /* the turn in which a state was added */
    uint16_t states[2][PATTERN_STEPS_MAX];
};

/* Begins a line. The search is zeroed before its first one. */
void pattern_begin(struct pattern_search *search);

/*
 * Searches on in a line, until it matches, the bytes are used up, or the work is: each byte costs 1
 * and the states that it is in. Returns how many bytes were used; behind a match that is its end.
 */
size_t pattern_search(struct pattern_search *search, const struct pattern *pattern,
                      const uint8_t *bytes, size_t size, size_t *inout_work);

/* Ends the line: whether it matches. */
bool pattern_end(struct pattern_search *search, const struct pattern *pattern);

#endif
