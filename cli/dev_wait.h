/* Waiting until the launcher and the server serve. */
#ifndef CLI_DEV_WAIT_H
#define CLI_DEV_WAIT_H

#include "cli/supervisor.h"
#include "lib/config/config.h"

enum { DEV_URL_SIZE = 320 };

/* Until the launcher takes connections. *ret_stop: a signal asked for the end meanwhile. */
int dev_wait_launcher(struct supervisor *supervisor, const struct config *config, bool *ret_stop,
                      struct error *err);

/*
 * Until GET /health answers 200; `url` is then the server's ("http://127.0.0.1:8070"). The server
 * says which port it took in <run_dir>/server/address ("host:port").
 */
int dev_wait_server(struct supervisor *supervisor, const struct config *config, bool *ret_stop,
                    char url[static DEV_URL_SIZE], struct error *err);

/* Removes the address of an earlier run, before the server starts. */
int dev_wait_forget_server(const struct config *config, struct error *err);

/* "http://host:port" for a client on this host, from what that file says; 0, or -1. */
int dev_wait_url(const char *address, char url[static DEV_URL_SIZE]);

#endif
