/* The body of POST /api/v1/containers/{project}/create, decoded and checked by tables. */
#ifndef SERVER_HANDLERS_PROJECT_CONTAINER_REQUEST_H
#define SERVER_HANDLERS_PROJECT_CONTAINER_REQUEST_H

#include "server/handlers/project_containers.h"

/*
 * What it asks for, as a container of the name that the path has, and, in words, what of it this
 * installation does not give (an array, NULL for nothing). The caller frees both.
 */
int project_container_request(struct call *call, struct container_spec *ret_spec,
                              cJSON **ret_warnings, struct error *err);

#endif
