/*
 * Conditional requests (RFC 9110, section 13) for resources that carry a version: their entity tag
 * is the version in quotes.
 */
#ifndef SERVER_HANDLERS_ETAG_H
#define SERVER_HANDLERS_ETAG_H

#include "server/handlers/call.h"

#define ETAG_ANY INT64_C(-1)

/*
 * The version that If-Match demands; ETAG_ANY when it did not come or is "*". A tag that none of
 * our resources can have, a list among them, is ERR_PRECONDITION.
 */
int etag_expected(struct call *call, int64_t *ret_version, struct error *err);

/*
 * Whether a list of If-Match or If-None-Match has the tag, or "*". Weak tags of the list count only
 * where the comparison is weak (RFC 9110, section 8.8.3.2).
 */
bool etag_list_has(const char *list, const char *tag, bool weak);

/* Adds the ETag of `version` to the answer to come. */
void etag_add(struct call *call, int64_t version);

/*
 * Answers with `body`, frees it, and adds its ETag; a GET whose If-None-Match has that tag gets 304
 * without a body.
 */
int etag_respond(struct call *call, int status, int64_t version, cJSON *body, struct error *err);

#endif
