/* The sandboxes that live on this host, as the operator's commands need to know them. */
#ifndef CLI_SANDBOXES_H
#define CLI_SANDBOXES_H

#include "lib/config/config.h"

/* True when a sandbox lives, or when that cannot be told. */
bool sandboxes_exist(const struct config *config);

/* Ends every sandbox of the launcher; what goes wrong is for the log. */
void sandboxes_destroy_all(const struct config *config);

#endif
