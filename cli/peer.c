#include "cli/peer.h"

#include "cli/dev_wait.h"
#include "cli/redact.h"
#include "cli/token.h"
#include "lib/base/address.h"
#include "lib/base/util.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_TTL_S = 300, TOKEN_FILE_MAX = 65536 };

/* What the local server wrote when it began to listen. */
static int local_url(const struct config *config, char **ret_url, struct error *err)
{
    _cleanup_free_ char *text = NULL;
    char url[DEV_URL_SIZE];
    char path[PATH_MAX];
    size_t size;

    (void)snprintf(path, sizeof(path), "%s/server/address", config->state_run_dir);
    if (read_file(AT_FDCWD, path, 512, &text, &size, err) < 0)
        return error_set(err, ERR_UNAVAILABLE,
                         "no server runs here (%s): name one by --url or ATOLL_URL", path);
    text[strcspn(text, "\n")] = '\0';
    if (dev_wait_url(text, url) < 0)
        return error_set(err, ERR_UNAVAILABLE, "%s holds no address", path);
    *ret_url = strdup(url);
    return *ret_url ? 0 : error_set_errno(err, ENOMEM, "%s", path);
}

/* An empty option is a script's variable that is not set: no other service is meant by it. */
static int find_url(struct peer *peer, const struct config *config,
                    const struct arguments *arguments, struct error *err)
{
    const char *option = argument_value(arguments, "--url");
    const char *named = option ? option : getenv("ATOLL_URL");

    if (!option && (!named || named[0] == '\0')) {
        peer->is_local = true;
        return local_url(config, &peer->url, err);
    }
    if (strncmp(named, "http://", 7) != 0 && strncmp(named, "https://", 8) != 0)
        return error_set(err, ERR_BAD_REQUEST, "%s must begin with http:// or https://",
                         option ? "--url" : "ATOLL_URL");
    peer->url = strdup(named);
    if (!peer->url)
        return error_set_errno(err, ENOMEM, "--url");
    for (size_t length = strlen(peer->url); peer->url[length - 1] == '/'; length--)
        peer->url[length - 1] = '\0';
    return 0;
}

static int credential_from_file(const char *path, char **ret_credential, struct error *err)
{
    size_t size;

    if (read_file(AT_FDCWD, path, TOKEN_FILE_MAX, ret_credential, &size, err) < 0)
        return -1;
    (*ret_credential)[strcspn(*ret_credential, "\r\n")] = '\0';
    return 0;
}

DEFINE_CLEANUP(CURLU *, curl_url, curl_url_cleanup)
DEFINE_CLEANUP(char *, curl_text, curl_free)

/* True when only this machine gets to the URL's host. */
static bool is_loopback(const char *url)
{
    _cleanup_(cleanup_curl_url) CURLU *parts = curl_url();
    _cleanup_(cleanup_curl_text) char *host = NULL;

    return parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
           curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
           (host_is_loopback(host) || strcmp(host, "[::1]") == 0);
}

/* Who can read the key can make any token: of an operator, which no other host must see. */
static int make_credential(const struct peer *peer, const struct config *config,
                           char **ret_credential, struct error *err)
{
    struct error failure;

    if (!peer->is_local && !is_loopback(peer->url))
        return error_set(err, ERR_BAD_REQUEST,
                         "no token: name one by --token, --token-file, ATOLL_TOKEN or ATOLL_API_KEY"
                         " (one that is made here goes to this host only)");
    if (token_make_operator(config, TOKEN_TTL_S, ret_credential, &failure) == 0)
        return 0;
    return error_set(err, ERR_BAD_REQUEST,
                     "no token: name one by --token, --token-file, ATOLL_TOKEN or ATOLL_API_KEY"
                     " (none can be made here: %s)",
                     failure.message);
}

static int find_credential(struct peer *peer, const struct config *config,
                           const struct arguments *arguments, struct error *err)
{
    const char *file = argument_value(arguments, "--token-file");
    const char *text = argument_value(arguments, "--token");
    bool is_option = text != NULL;

    if (!text && file)
        return credential_from_file(file, &peer->credential, err);
    if (!text)
        text = getenv("ATOLL_TOKEN");
    if (!is_option && (!text || text[0] == '\0'))
        text = getenv("ATOLL_API_KEY");
    if (!is_option && (!text || text[0] == '\0')) {
        peer->config = config;
        return make_credential(peer, config, &peer->credential, err);
    }
    peer->credential = strdup(text);
    return peer->credential ? 0 : error_set_errno(err, ENOMEM, "--token");
}

/* A header's value is made of it: a line's end in it would begin another header. */
static int check_credential(const char *credential, struct error *err)
{
    if (credential[0] == '\0')
        return error_set(err, ERR_BAD_REQUEST, "the token is empty");
    for (const char *at = credential; *at != '\0'; at++)
        if (*at <= ' ' || *at > '~')
            return error_set(err, ERR_BAD_REQUEST, "the token holds a character that none has");
    return 0;
}

int peer_find(const struct config *config, const struct arguments *arguments, struct peer *ret_peer,
              struct error *err)
{
    _cleanup_peer_ struct peer peer = {.url = NULL};

    if (find_url(&peer, config, arguments, err) < 0 ||
        find_credential(&peer, config, arguments, err) < 0 ||
        check_credential(peer.credential, err) < 0)
        return -1;
    peer.shown_url = redact(peer.url);
    if (!peer.shown_url)
        return error_set_errno(err, ENOMEM, "cannot call the service");
    *ret_peer = peer;
    peer = (struct peer){.url = NULL};
    return 0;
}

void peer_renew(struct peer *peer)
{
    struct error unused;
    char *credential = NULL;

    if (!peer->config || make_credential(peer, peer->config, &credential, &unused) < 0)
        return;
    free(peer->credential);
    peer->credential = credential;
}

void peer_done(struct peer *peer)
{
    free(peer->url);
    free(peer->shown_url);
    free(peer->credential);
}
