#include "cli/list.h"

#include "cli/plain.h"
#include "cli/query.h"
#include "lib/base/util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LIMIT_DEFAULT = 1000, PAGE_MAX = 200, CURSOR_SIZE = 256 };

/* A list as it is gathered, page by page. */
struct gathering {
    cJSON *items;             /* for the table */
    uint64_t left;            /* items that may still come */
    char cursor[CURSOR_SIZE]; /* of the next page; "": there is none */
};

/* Leaves those items of a page that are wanted, and no more than may come. */
static void sift(const struct list *list, cJSON *items, struct gathering *gathering)
{
    cJSON *item = items->child;

    while (item) {
        cJSON *next = item->next;

        if (gathering->left > 0 && (!list->wanted || list->wanted(item)))
            gathering->left--;
        else
            cJSON_Delete(cJSON_DetachItemViaPointer(items, item));
        item = next;
    }
}

/* Of a list that is sifted here, nobody knows how many it takes. */
static unsigned page_limit(const struct list *list, const struct gathering *gathering)
{
    return list->wanted || gathering->left > PAGE_MAX ? PAGE_MAX : (unsigned)gathering->left;
}

static int get_page(struct api *api, const struct list *list, const struct gathering *gathering,
                    cJSON **ret_page, struct error *err)
{
    char limit[16];
    const struct parameter parameters[] = {
        {"limit", limit},
        {"cursor", gathering->cursor[0] != '\0' ? gathering->cursor : NULL},
    };
    _cleanup_free_ char *path = NULL;

    (void)snprintf(limit, sizeof(limit), "%u", page_limit(list, gathering));
    if (query_make(list->path, parameters, ARRAY_SIZE(parameters), &path, err) < 0)
        return -1;
    /* A page that is sifted is printed afterwards. */
    if (list->wanted)
        return api_get(api, path, ret_page, err);
    return api_call(api, "GET", path, NULL, ret_page, err);
}

/* The page with what is left of it. */
static int print_page(const cJSON *page, struct error *err)
{
    _cleanup_free_ char *text = cJSON_PrintUnformatted(page);

    if (!text)
        return error_set_errno(err, ENOMEM, "cannot list");
    plain_json(stdout, text);
    return 0;
}

static int take_page(struct api *api, const struct list *list, struct gathering *gathering,
                     struct error *err)
{
    _cleanup_cjson_ cJSON *page = NULL;
    const char *next;
    cJSON *items;
    cJSON *item;

    if (get_page(api, list, gathering, &page, err) < 0)
        return -1;
    items = cJSON_GetObjectItemCaseSensitive(page, "items");
    next = cJSON_GetStringValue(table_member(page, "next_cursor"));
    /* The same page again would come for ever. */
    if (!cJSON_IsArray(items) ||
        (next && (strcmp(next, gathering->cursor) == 0 || strlen(next) >= CURSOR_SIZE)))
        return api_not_the_service(api, err);
    (void)snprintf(gathering->cursor, CURSOR_SIZE, "%s", next ? next : "");
    sift(list, items, gathering);
    if (api_json(api))
        return list->wanted ? print_page(page, err) : 0;
    while ((item = cJSON_DetachItemFromArray(items, 0)))
        cJSON_AddItemToArray(gathering->items, item);
    return 0;
}

int list_print(struct api *api, const struct list *list, struct error *err)
{
    _cleanup_cjson_ cJSON *items = cJSON_CreateArray();
    struct gathering gathering = {.items = items, .left = list->limit};

    do {
        if (take_page(api, list, &gathering, err) < 0)
            return -1;
    } while (gathering.cursor[0] != '\0' && gathering.left > 0);
    if (!api_json(api))
        table_print(stdout, items, list->columns, list->column_count,
                    (int64_t)time(NULL) * 1000000);
    return CLI_OK;
}

int list_limit(const struct arguments *arguments, uint64_t *ret_limit, struct error *err)
{
    const char *text = argument_value(arguments, "--limit");

    *ret_limit = LIMIT_DEFAULT;
    if (text && (!parse_u64(text, INT32_MAX, ret_limit) || *ret_limit == 0))
        return error_set(err, ERR_BAD_REQUEST, "--limit needs a number of items");
    return 0;
}
