/* Paths of requests with parameters. */
#ifndef CLI_QUERY_H
#define CLI_QUERY_H

#include <atoll/error.h>
#include <stddef.h>

struct parameter {
    const char *name;
    const char *value; /* any bytes; NULL: it is left out */
};

/* "path?name=value&…", with the values escaped; the path may have a query. The caller frees it. */
int query_make(const char *path, const struct parameter *parameters, size_t count, char **ret_path,
               struct error *err);

#endif
