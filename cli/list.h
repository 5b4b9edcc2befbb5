/* Lists of the service, which come in pages. */
#ifndef CLI_LIST_H
#define CLI_LIST_H

#include "cli/api.h"
#include "cli/table.h"

struct list {
    const char *path; /* with or without a query */
    const struct column *columns;
    size_t column_count;
    bool (*wanted)(const cJSON *item); /* NULL: all are */
    uint64_t limit;                    /* items */
};

/* Prints a list, page by page; with --json the pages as they are. Errors as in api.h. */
int list_print(struct api *api, const struct list *list, struct error *err);

/* The items of --limit, 1000 when it did not come. */
int list_limit(const struct arguments *arguments, uint64_t *ret_limit, struct error *err);

#endif
