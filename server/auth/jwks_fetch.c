#include "server/auth/jwks_fetch.h"

#include "lib/auth/keys.h"

#include <atoll/cleanup.h>
#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/queue.h>

struct fetch {
    CURL *curl;
    void *user;
    char *text;
    size_t size;
    bool too_large;
    char reason[CURL_ERROR_SIZE];
    TAILQ_ENTRY(fetch) link;
};

TAILQ_HEAD(fetch_list, fetch);

struct jwks_fetches {
    CURLM *multi;
    struct fetch_list all;
    int count;
};

static void fetch_free(struct fetch *fetch)
{
    curl_easy_cleanup(fetch->curl);
    free(fetch->text);
    free(fetch);
}

DEFINE_CLEANUP(struct fetch *, fetch, fetch_free)

int jwks_fetches_new(struct jwks_fetches **ret_fetches, struct error *err)
{
    struct jwks_fetches *fetches;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(err, ERR_INTERNAL, "cannot initialise libcurl");
    fetches = calloc(1, sizeof(*fetches));
    if (!fetches)
        return error_set_errno(err, ENOMEM, "cannot fetch key sets");
    TAILQ_INIT(&fetches->all);
    fetches->multi = curl_multi_init();
    if (!fetches->multi) {
        free(fetches);
        return error_set_errno(err, ENOMEM, "cannot fetch key sets");
    }
    *ret_fetches = fetches;
    return 0;
}

/* It is not under way any more. */
static void end(struct jwks_fetches *fetches, struct fetch *fetch)
{
    (void)curl_multi_remove_handle(fetches->multi, fetch->curl);
    TAILQ_REMOVE(&fetches->all, fetch, link);
    fetches->count--;
    fetch_free(fetch);
}

void jwks_fetches_abandon(struct jwks_fetches *fetches)
{
    struct fetch *fetch;

    while ((fetch = TAILQ_FIRST(&fetches->all)))
        end(fetches, fetch);
}

void jwks_fetches_free(struct jwks_fetches *fetches)
{
    if (!fetches)
        return;
    jwks_fetches_abandon(fetches);
    (void)curl_multi_cleanup(fetches->multi);
    free(fetches);
}

static size_t take_bytes(char *data, size_t one, size_t count, void *user)
{
    struct fetch *fetch = user;

    (void)one; /* always 1 */
    if (count > AUTH_JWKS_MAX - fetch->size) {
        fetch->too_large = true;
        return 0;
    }
    memcpy(fetch->text + fetch->size, data, count);
    fetch->size += count;
    return count;
}

/* What makes an answer harmless, whatever it is. */
static bool set_bounds(CURL *curl)
{
    return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)JWKS_FETCH_TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)JWKS_CONNECT_TIMEOUT_MS) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)AUTH_JWKS_MAX) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           /* A look-up that does not end is left to its thread. */
           curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
}

static bool set_request(struct fetch *fetch, const char *url)
{
    CURL *curl = fetch->curl;

    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROXY, "localhost,127.0.0.0/8,::1") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "atoll") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PRIVATE, fetch) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetch) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, fetch->reason) == CURLE_OK;
}

/* libcurl would look into the system's folder of certificates beside the file. */
static bool set_authority(CURL *curl, const char *ca_file)
{
    return !ca_file || (curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file) == CURLE_OK &&
                        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK);
}

int jwks_fetches_begin(struct jwks_fetches *fetches, const char *url, const char *ca_file,
                       void *user, struct error *err)
{
    _cleanup_(cleanup_fetch) struct fetch *fetch = calloc(1, sizeof(*fetch));

    if (!fetch)
        return error_set_errno(err, ENOMEM, "cannot prepare a fetch of a key set");
    fetch->user = user;
    fetch->text = malloc(AUTH_JWKS_MAX + 1);
    fetch->curl = curl_easy_init();
    if (!fetch->text || !fetch->curl || !set_bounds(fetch->curl) || !set_request(fetch, url) ||
        !set_authority(fetch->curl, ca_file) ||
        curl_multi_add_handle(fetches->multi, fetch->curl) != CURLM_OK)
        return error_set(err, ERR_INTERNAL, "cannot prepare a fetch of a key set");
    TAILQ_INSERT_TAIL(&fetches->all, fetch, link);
    fetches->count++;
    fetch = NULL;
    return 0;
}

int jwks_fetches_wait(struct jwks_fetches *fetches, int timeout_ms, struct error *err)
{
    int running;
    CURLMcode code = curl_multi_perform(fetches->multi, &running);

    /* Something that has ended is not waited beside. */
    if (code == CURLM_OK && running == fetches->count)
        code = curl_multi_poll(fetches->multi, NULL, 0, timeout_ms, NULL);
    if (code == CURLM_OK)
        code = curl_multi_perform(fetches->multi, &running);
    if (code != CURLM_OK)
        return error_set(err, ERR_INTERNAL, "libcurl: %s", curl_multi_strerror(code));
    return 0;
}

static int judge(const struct fetch *fetch, CURLcode code, struct error *err)
{
    long status = 0;

    if (fetch->too_large || code == CURLE_FILESIZE_EXCEEDED)
        return error_set(err, ERR_UNAVAILABLE, "the key set has over %d bytes", AUTH_JWKS_MAX);
    if (code != CURLE_OK)
        return error_set(err, ERR_UNAVAILABLE, "%s",
                         fetch->reason[0] ? fetch->reason : curl_easy_strerror(code));
    (void)curl_easy_getinfo(fetch->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return error_set(err, ERR_UNAVAILABLE, "the answer has status %ld, not 200", status);
    return 0;
}

bool jwks_fetches_next(struct jwks_fetches *fetches, struct jwks_fetched *ret_fetched)
{
    const CURLMsg *message;
    struct fetch *fetch;
    int left;

    do {
        message = curl_multi_info_read(fetches->multi, &left);
        if (!message)
            return false;
    } while (message->msg != CURLMSG_DONE ||
             curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch) != CURLE_OK);
    *ret_fetched = (struct jwks_fetched){.user = fetch->user};
    if (judge(fetch, message->data.result, &ret_fetched->err) == 0) {
        fetch->text[fetch->size] = '\0';
        ret_fetched->size = fetch->size;
        ret_fetched->text = TAKE_PTR(fetch->text);
    }
    end(fetches, fetch);
    return true;
}

void jwks_fetches_wake(struct jwks_fetches *fetches)
{
    (void)curl_multi_wakeup(fetches->multi);
}
