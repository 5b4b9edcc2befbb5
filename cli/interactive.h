/* `atoll exec -i` and `-t`: a command that reads what comes in, while it runs. */
#ifndef CLI_INTERACTIVE_H
#define CLI_INTERACTIVE_H

#include "cli/api.h"

/*
 * Starts the command that `body` describes and runs it on our standard input, output and errors.
 * `has_terminal`: in a terminal of our terminal's size, which is raw meanwhile, and as before
 * afterwards. Exits as the command did; ERR_CONFLICT when, without a
 * terminal, output is missing. A signal that ends us is passed on to the command before.
 *
 * A connection that breaks is made again, behind the output that came. Without a terminal only
 * while no input was sent: nothing tells whether the last of it arrived. ERR_UNAVAILABLE tells then
 * what prints the rest.
 */
int interactive_run(struct api *api, const char *sandbox, cJSON *body, bool has_terminal,
                    struct error *err);

#endif
