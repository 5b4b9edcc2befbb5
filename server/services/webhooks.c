#include "server/services/webhooks.h"

#include "server/services/webhook_url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Of a secret that is made here, shown in hex. */
enum { SECRET_BYTES = 32 };

static int make_secret(char secret[static 2 * SECRET_BYTES + 1], struct error *err)
{
    unsigned char bytes[SECRET_BYTES];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return error_set_errno(err, errno, "cannot make a secret");
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(secret + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

int webhooks_create(struct services *services, const struct caller *caller,
                    const struct webhook_spec *spec, char secret[static WEBHOOK_SECRET_MAX + 1],
                    struct webhook_record *ret_record, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);
    const struct config *config = services->config;
    struct webhook_spec whole = *spec;

    if (webhook_url_check(spec->url, config->webhooks_allow_private, err) < 0 ||
        caller_new_id(caller, &whole.id, err) < 0)
        return -1;
    if (spec->secret)
        (void)snprintf(secret, WEBHOOK_SECRET_MAX + 1, "%s", spec->secret);
    else if (make_secret(secret, err) < 0)
        return -1;
    whole.secret = secret;
    return store_webhook_insert(services->db, &scope, &whole, &origin, ret_record, err);
}

int webhooks_get(struct services *services, const struct caller *caller, const struct id *id,
                 struct webhook_record *ret_record, struct error *err)
{
    struct db_scope scope = caller_scope(caller);

    return store_webhook_get(services->db, &scope, id, ret_record, err);
}

int webhooks_list(struct services *services, const struct caller *caller, uint32_t limit,
                  const struct id *before, struct webhook_list *ret_list, bool *ret_more,
                  struct error *err)
{
    struct db_scope scope = caller_scope(caller);

    /* One more than asked for tells whether there is another page. */
    if (store_webhook_list(services->db, &scope, limit + 1, before, ret_list, err) < 0)
        return -1;
    *ret_more = ret_list->count > limit;
    if (*ret_more)
        ret_list->count = limit;
    return 0;
}

int webhooks_patch(struct services *services, const struct caller *caller, const struct id *id,
                   const struct webhook_patch *patch, int64_t version,
                   struct webhook_record *ret_record, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);
    const struct config *config = services->config;

    if (patch->url && webhook_url_check(patch->url, config->webhooks_allow_private, err) < 0)
        return -1;
    return store_webhook_patch(services->db, &scope, id, patch, version, &origin, ret_record, err);
}

int webhooks_delete(struct services *services, const struct caller *caller, const struct id *id,
                    int64_t version, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);

    return store_webhook_delete(services->db, &scope, id, version, &origin, err);
}

int webhooks_deliveries(struct services *services, const struct caller *caller,
                        const struct id *webhook, const struct webhook_delivery_filter *filter,
                        struct webhook_delivery_list *ret_list, bool *ret_more, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct webhook_delivery_filter page = *filter;

    page.limit++;
    if (store_webhook_deliveries(services->db, &scope, webhook, &page, ret_list, err) < 0)
        return -1;
    *ret_more = ret_list->count > filter->limit;
    if (*ret_more)
        ret_list->count = filter->limit;
    return 0;
}

int webhooks_retry(struct services *services, const struct caller *caller, const struct id *webhook,
                   const struct id *delivery, struct webhook_delivery *ret_delivery,
                   struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);

    return store_webhook_retry(services->db, &scope, webhook, delivery, &origin, ret_delivery, err);
}
