#include "server/services/webhook_url.h"

#include "lib/base/address.h"
#include "lib/db/store_webhook.h"

#include <atoll/cleanup.h>
#include <curl/curl.h>
#include <string.h>

DEFINE_CLEANUP(CURLU *, curl_url, curl_url_cleanup)
DEFINE_CLEANUP(char *, curl_text, curl_free)

static int refuse(struct error *err, const char *reason)
{
    return error_set_field(err, ERR_NOT_POSSIBLE, "url", "'url' %s", reason);
}

static bool has_part(CURLU *url, CURLUPart part)
{
    _cleanup_(cleanup_curl_text) char *text = NULL;

    return curl_url_get(url, part, &text, 0) == CURLUE_OK;
}

static int check_host(CURLU *url, struct error *err)
{
    _cleanup_(cleanup_curl_text) char *host = NULL;
    const char *refusal;
    char *bare;

    if (curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK || host[0] == '\0')
        return refuse(err, "has no host");
    bare = host;
    if (host[0] == '[') {
        bare++;
        bare[strcspn(bare, "]")] = '\0';
    }
    refusal = address_text_refusal(bare);
    if (refusal)
        return error_set_field(err, ERR_NOT_POSSIBLE, "url",
                               "'url' has an address that is %s: events go to public ones only "
                               "(webhooks.allow_private)",
                               refusal);
    return 0;
}

int webhook_url_check(const char *text, bool allow_private, struct error *err)
{
    _cleanup_(cleanup_curl_url) CURLU *url = curl_url();

    if (!url)
        return error_no_memory(err);
    if (strlen(text) > WEBHOOK_URL_MAX)
        return error_set_field(err, ERR_NOT_POSSIBLE, "url", "'url' has at most %d bytes",
                               WEBHOOK_URL_MAX);
    if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
        return refuse(err, "must begin with https:// or http://");
    if (strchr(text, ':')[3] == '/') /* libcurl takes one slash more for a slip of the hand */
        return refuse(err, "has no host");
    if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK)
        return refuse(err, "is not a URL");
    if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
        return refuse(err, "may not name a user or password");
    if (has_part(url, CURLUPART_FRAGMENT))
        return refuse(err, "may not have a fragment");
    return allow_private ? 0 : check_host(url, err);
}
