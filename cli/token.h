/* Tokens that this installation's server accepts. */
#ifndef CLI_TOKEN_H
#define CLI_TOKEN_H

#include "lib/config/config.h"

/* A token for the default tenant; the text is the caller's to free. */
int token_make(const struct config *config, int64_t ttl_seconds, char **ret_token,
               struct error *err);

/* The same with the role operator: for the commands of whoever can read the key anyway. */
int token_make_operator(const struct config *config, int64_t ttl_seconds, char **ret_token,
                        struct error *err);

#endif
