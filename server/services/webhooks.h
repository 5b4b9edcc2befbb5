/* Webhooks and their deliveries. See lib/db/store_webhook.h for errors and who frees what. */
#ifndef SERVER_SERVICES_WEBHOOKS_H
#define SERVER_SERVICES_WEBHOOKS_H

#include "lib/db/store_webhook.h"
#include "server/services/services.h"

/*
 * The id is made here, and the secret too when `spec->secret` is NULL; `secret`, in any case, is
 * what the caller has to be told. ERR_NOT_POSSIBLE for a URL that may not be.
 */
int webhooks_create(struct services *services, const struct caller *caller,
                    const struct webhook_spec *spec, char secret[static WEBHOOK_SECRET_MAX + 1],
                    struct webhook_record *ret_record, struct error *err);

int webhooks_get(struct services *services, const struct caller *caller, const struct id *id,
                 struct webhook_record *ret_record, struct error *err);

/* *ret_more: there is another page. */
int webhooks_list(struct services *services, const struct caller *caller, uint32_t limit,
                  const struct id *before, struct webhook_list *ret_list, bool *ret_more,
                  struct error *err);

int webhooks_patch(struct services *services, const struct caller *caller, const struct id *id,
                   const struct webhook_patch *patch, int64_t version,
                   struct webhook_record *ret_record, struct error *err);

int webhooks_delete(struct services *services, const struct caller *caller, const struct id *id,
                    int64_t version, struct error *err);

int webhooks_deliveries(struct services *services, const struct caller *caller,
                        const struct id *webhook, const struct webhook_delivery_filter *filter,
                        struct webhook_delivery_list *ret_list, bool *ret_more, struct error *err);

int webhooks_retry(struct services *services, const struct caller *caller, const struct id *webhook,
                   const struct id *delivery, struct webhook_delivery *ret_delivery,
                   struct error *err);

#endif
