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
    const struct config *config; /* whose key it was made with; NULL: it was given */
    bool is_local;               /* no proxy leads there */
};

/*
 * `config` outlives the peer. Fails with ERR_UNAVAILABLE when none is named and none runs here,
 * with ERR_BAD_REQUEST for a URL or a credential that cannot be one, and with what reading the
 * token's file says.
 */
int peer_find(const struct config *config, const struct arguments *arguments, struct peer *ret_peer,
              struct error *err);

/*
 * A credential that was made here is made anew: it lasts for minutes, what is followed for hours.
 * Where none can be made any more it stays as it is, and the service says what is wrong with it.
 */
void peer_renew(struct peer *peer);

/* Frees what the peer has, not the peer itself. */
void peer_done(struct peer *peer);

#define _cleanup_peer_ __attribute__((cleanup(peer_done)))

#endif
