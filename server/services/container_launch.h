/*
 * A container's native sandbox: made from its row, ended, removed with its disk. The steps of its
 * state are the caller's (containers.h). Blocking; called on a request's thread.
 */
#ifndef SERVER_SERVICES_CONTAINER_LAUNCH_H
#define SERVER_SERVICES_CONTAINER_LAUNCH_H

#include "server/services/services.h"

#include <atoll/container.h>

/* The launcher's bit of a capability by its name without CAP_, 0 for one that cannot be given. */
uint32_t container_capability(const char *name);

/* ERR_NOT_SUPPORTED (field image), which says where the names are. Returns -1. */
int container_image_missing(const char *image, struct error *err);

/*
 * Makes the sandbox of the record's generation and starts its main command; what is left of an
 * earlier generation is ended first. ERR_NOT_SUPPORTED (field image) when the image is not
 * installed, ERR_INVALID_FIELD (field command) when the command cannot be executed. After a failure
 * the caller ends what there may be.
 */
int container_launch(struct services *services, const struct container_record *record,
                     struct error *err);

/* Ends the record's generation; the disk stays. Success when it had ended before. */
int container_end(struct services *services, const struct container_record *record,
                  struct error *err);

/* Ends every generation of a container and removes its disk. Success when nothing was left. */
int container_remove(struct services *services, const struct id *tenant, const struct id *id,
                     struct error *err);

#endif
