/*
 * Hides the password in a libpq connection string (URI or keyword form), so that a configuration
 * can be shown and pasted into a report.
 */
#ifndef CLI_REDACT_H
#define CLI_REDACT_H

/* A copy of `text` with every password replaced by "***"; the caller's. NULL: memory is short. */
char *redact(const char *text);

#endif
