/*
 * Conditional requests (RFC 9110, section 13) on resources whose ETag is their version number.
 */
#ifndef SERVER_HANDLERS_PRECONDITION_H
#define SERVER_HANDLERS_PRECONDITION_H

#include "server/handlers/call.h"

/* What `precondition_if_match` gives for a request that names no version. */
#define PRECONDITION_NONE INT64_C(-1)

/* Sets ETag of the answer to come. */
void precondition_etag(struct call *call, int64_t version);

/*
 * The version that If-Match names, PRECONDITION_NONE without one or for "*". ERR_PRECONDITION for
 * anything that cannot be a version of ours, a weak tag or a list among them.
 */
int precondition_if_match(struct call *call, int64_t *ret_version, struct error *err);

/* True when If-None-Match names this version: the answer is 304. */
bool precondition_unmodified(struct call *call, int64_t version);

#endif
