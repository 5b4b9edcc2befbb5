/*
 * The service that a command calls, and as whom.
 *
 * Where it is: --url, else ATOLL_URL, else what the local server wrote into its run folder. Who
 * asks: --token or --token-file, else ATOLL_TOKEN, else ATOLL_API_KEY, else a short token made with
 * the local key, where that is readable and the service is on this host.
 */
#ifndef CLI_PEER_H
#define CLI_PEER_H

#include "cli/verb.h"
#include "lib/config/config.h"

#include <atoll/cleanup.h>
#include <stdbool.h>

struct peer {
    char *url;       /* without a slash at its end */
    char *shown_url; /* the same, without a password of a proxy in front: for messages */
    char *credential;
    bool is_local; /* no proxy leads there */
};

/*
 * Fails with ERR_UNAVAILABLE when none is named and none runs here, with ERR_BAD_REQUEST for a URL
 * or a credential that cannot be one, and with what reading the token's file says.
 */
int peer_find(const struct config *config, const struct arguments *arguments, struct peer *ret_peer,
              struct error *err);

/* Frees what the peer has, not the peer itself. */
void peer_done(struct peer *peer);

#define _cleanup_peer_ __attribute__((cleanup(peer_done)))

#endif
