/*
 * Bounded text for a program without stdio: strings are put together piece by piece, and one that
 * does not fit is told, never cut.
 */
#ifndef AGENT_TEXT_H
#define AGENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Makes `target`, of `size` bytes, the texts one after another; the last is followed by NULL. False
 * when they do not fit; `target` is then unchanged. */
bool text_join(char *target, size_t size, const char *const *texts);

/* The same for one text. */
bool text_copy(char *target, size_t size, const char *text);

/* Writes two lowercase hex digits for each byte, and a NUL. */
void text_hex(char *target, const unsigned char *bytes, size_t size);

#endif
