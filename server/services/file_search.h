/* Searching the files of a container that runs (docs/api/files.md), on a caller's behalf. */
#ifndef SERVER_SERVICES_FILE_SEARCH_H
#define SERVER_SERVICES_FILE_SEARCH_H

#include "lib/runtime/agent_search.h"
#include "server/services/services.h"

/* Errors as in files.h, and as agent_search. The caller frees the matches. */
int file_search(struct services *services, const struct caller *caller, const struct id *id,
                const struct agent_search_request *request, struct agent_matches *ret_matches,
                struct error *err);

#endif
