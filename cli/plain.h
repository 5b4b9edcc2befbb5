/*
 * Text that others wrote, as a terminal may show it: names, labels and errors are a tenant's or a
 * service's, and a terminal obeys some characters instead of showing them.
 *
 * Those are the control characters (C0, DEL, C1), the separators of lines and paragraphs, and the
 * marks that turn the direction of text, which make a name look like another (CVE-2021-42574).
 */
#ifndef CLI_PLAIN_H
#define CLI_PLAIN_H

#include <stdio.h>

/* Each such character, and each byte that is no UTF-8, becomes '?'. */
void plain_text(char *text);

/* Writes a line of JSON, in which they become escapes: it says the same. White space stays. */
void plain_json(FILE *out, const char *json);

/* Writes a complaint to standard error, as plain_text. */
void plain_complain(const char *message);

#endif
