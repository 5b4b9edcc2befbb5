/*
 * The vocabulary of tenants, projects, quotas and nodes that the server and the database layer
 * share. Strings are owned by the struct they stand in; *_free accepts a zeroed struct. Times are
 * Unix microseconds of the database's clock.
 */
#ifndef ATOLL_TENANCY_H
#define ATOLL_TENANCY_H

#include <atoll/id.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the place of the version that a change expects: any will do. */
#define TENANCY_ANY_VERSION INT64_C(-1)

struct project_record {
    struct id id;
    struct id tenant;
    char *name;
    char *labels_json; /* an object of strings */
    char *policy_json; /* of commands: {mode, allow, block}; NULL: never set */
    bool is_default;   /* where sandboxes go that name no project; cannot be deleted */
    int64_t version;   /* of what a caller may change */
    int64_t created_usec;
    int64_t updated_usec;
};

struct tenant_record {
    struct id id;
    char *name;
    bool suspended; /* may do nothing but read */
    int64_t version;
    int64_t created_usec;
    int64_t updated_usec;
};

/* X(column, meaning): what a quota may limit. */
#define QUOTA_LIMITS(X)                                                                            \
    X(sandboxes, "Containers that are up, and executions, at once")                                \
    X(cpu_milli, "Their processor time together, in thousandths of a core")                        \
    X(memory_mb, "Their memory limits together, in MiB")                                           \
    X(disk_mb, "Disk limits together of containers that are not deleted, in MiB")                  \
    X(processes, "Their process limits together")                                                  \
    X(volumes, "Volumes")                                                                          \
    X(deployments, "Deployments")                                                                  \
    X(creates_per_minute, "Containers created or started, and executions begun, in one minute")

/* One number for each of them. */
struct quota_numbers {
#define QUOTA_NUMBER(column, meaning) int64_t column;
    QUOTA_LIMITS(QUOTA_NUMBER)
#undef QUOTA_NUMBER
};

/* In the place of a limit: there is none. */
#define QUOTA_UNLIMITED INT64_MIN

/* The limits of a tenant or a project, and what is used of them now. */
struct quota_record {
    struct id tenant;
    struct id project; /* all zero: of the whole tenant */
    int64_t version;   /* 0: it never had limits */
    struct quota_numbers limits;
    struct quota_numbers used;
    int64_t updated_usec; /* 0: never */
};

struct node_record {
    char *id;
    char *version; /* of its server */
    bool ready;    /* its server was heard of lately */
    int64_t cpu_milli;
    int64_t memory_mb;
    int64_t sandboxes; /* alive on it when it was last heard of */
    int64_t started_usec;
    int64_t seen_usec;
};

void project_record_free(struct project_record *record);
void tenant_record_free(struct tenant_record *record);
void node_record_free(struct node_record *record);

#endif
