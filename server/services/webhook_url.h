/*
 * Where a webhook may point to. Parsed by libcurl, which also is what connects, so that both read
 * the same host.
 */
#ifndef SERVER_SERVICES_WEBHOOK_URL_H
#define SERVER_SERVICES_WEBHOOK_URL_H

#include <atoll/error.h>
#include <stdbool.h>

/*
 * ERR_NOT_POSSIBLE (field "url") unless it is an absolute http:// or https:// URL without user
 * information and of at most WEBHOOK_URL_MAX bytes; and, unless `allow_private`, when its host is
 * an address that is not of the public Internet. A host's name is judged by the worker, at each
 * delivery, by the address it has then.
 */
int webhook_url_check(const char *url, bool allow_private, struct error *err);

#endif
