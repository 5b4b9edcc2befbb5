/* Content negotiation (RFC 9110, section 12.5.1), as far as an answer has one form or some. */
#ifndef SERVER_HTTP_ACCEPT_H
#define SERVER_HTTP_ACCEPT_H

#include <stdbool.h>

/*
 * True when an Accept field's value allows `media_type` ("text/html; charset=utf-8": its parameters
 * are not looked at). The most exact range of the value decides; one with q=0 forbids. A NULL or
 * empty value allows all.
 */
bool accept_allows(const char *value, const char *media_type);

/*
 * True when the answer is to have the form `media_type` instead of `usual`: the value names it, and
 * not with q=0, or allows it and does not allow `usual`.
 */
bool accept_chooses(const char *value, const char *media_type, const char *usual);

#endif
