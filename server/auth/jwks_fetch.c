#include "server/auth/jwks_fetch.h"

#include "lib/auth/keys.h"

#include <atoll/cleanup.h>
#include <curl/curl.h>
#include <string.h>

DEFINE_CLEANUP(CURL *, curl, curl_easy_cleanup)

int jwks_fetch_setup(struct error *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(err, ERR_INTERNAL, "cannot initialise libcurl");
    return 0;
}

struct body {
    char *text;
    size_t size;
    bool too_large;
};

static void body_done(struct body *body)
{
    free(body->text);
}

static size_t take_bytes(char *data, size_t one, size_t count, void *user)
{
    struct body *body = user;

    (void)one; /* always 1 */
    if (count > AUTH_JWKS_MAX - body->size) {
        body->too_large = true;
        return 0;
    }
    memcpy(body->text + body->size, data, count);
    body->size += count;
    return count;
}

/* libcurl calls this at least once a second. */
static int look_at_stop(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                        curl_off_t up)
{
    const atomic_bool *stop = user;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return atomic_load(stop) ? 1 : 0;
}

static bool set_options(CURL *curl, const char *url, struct body *body, const atomic_bool *stop,
                        char *reason)
{
    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROXY, "localhost,127.0.0.0/8,::1") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)JWKS_FETCH_TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)JWKS_CONNECT_TIMEOUT_MS) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)AUTH_JWKS_MAX) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "atoll") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_at_stop) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, stop) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason) == CURLE_OK;
}

/* libcurl would look into the system's folder of certificates beside the file. */
static bool set_authority(CURL *curl, const char *ca_file)
{
    return !ca_file || (curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file) == CURLE_OK &&
                        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK);
}

int jwks_fetch(const char *url, const char *ca_file, const atomic_bool *stop, char **ret_text,
               size_t *ret_size, struct error *err)
{
    _cleanup_(cleanup_curl) CURL *curl = curl_easy_init();
    _cleanup_(body_done) struct body body = {.text = malloc(AUTH_JWKS_MAX + 1)};
    char reason[CURL_ERROR_SIZE] = "";
    CURLcode code;
    long status = 0;

    if (!curl || !body.text || !set_options(curl, url, &body, stop, reason) ||
        !set_authority(curl, ca_file))
        return error_set(err, ERR_INTERNAL, "cannot prepare a fetch of a key set");
    code = curl_easy_perform(curl);
    if (body.too_large || code == CURLE_FILESIZE_EXCEEDED)
        return error_set(err, ERR_UNAVAILABLE, "the key set has over %d bytes", AUTH_JWKS_MAX);
    if (code != CURLE_OK)
        return error_set(err, ERR_UNAVAILABLE, "%s", reason[0] ? reason : curl_easy_strerror(code));
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return error_set(err, ERR_UNAVAILABLE, "the answer has status %ld, not 200", status);
    body.text[body.size] = '\0';
    *ret_size = body.size;
    *ret_text = TAKE_PTR(body.text);
    return 0;
}
