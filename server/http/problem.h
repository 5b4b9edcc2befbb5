/*
 * The body of every error answer (application/problem+json, RFC 9457), made in one place for the
 * edge and for the handlers.
 */
#ifndef SERVER_PROBLEM_H
#define SERVER_PROBLEM_H

#include <atoll/error.h>

#define PROBLEM_MEDIA_TYPE "application/problem+json"

/* The problem as JSON text, the caller's to free; NULL when there is no memory. */
char *problem_format(const struct error *error, const char *request_id);

/* The reason phrase of a status (RFC 9110 section 15), "Unknown" for one that Atoll never sends. */
const char *problem_status_text(int status);

#endif
