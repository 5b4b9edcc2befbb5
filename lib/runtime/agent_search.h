/*
 * Searching a sandbox's files by name and content (docs/agent-protocol.md, SEARCH): inside the
 * sandbox, with the rights of one of its users. As in agent_files.h, the call blocks until the
 * answer or the deadline, and errors of the file's own have the field "path".
 */
#ifndef LIB_RUNTIME_AGENT_SEARCH_H
#define LIB_RUNTIME_AGENT_SEARCH_H

#include "lib/runtime/agent_client.h"

#include <atoll/agent_proto.h>

/* Borrowed for the call. At least one of name and content. */
struct agent_search_request {
    const char *user;    /* a name inside the sandbox, or "uid:gid" */
    const char *path;    /* absolute, of a folder; with `content` also of a file */
    const char *name;    /* a glob for the last name of a path; NULL: any */
    const char *content; /* what a line has; NULL: names are what is wanted */
    bool regex;          /* `content` is an extended regular expression */
    bool ignore_case;
    uint32_t limit;      /* most matches, 1..AGENT_SEARCH_MATCHES_MAX */
    uint32_t timeout_ms; /* 1..AGENT_SEARCH_MS_MAX */
};

struct agent_match {
    enum agent_file_type type;
    uint64_t line; /* from 1; 0: the name matches */
    bool is_cut;   /* `text` is a part of the line */
    char *path;    /* below the folder, any bytes but NUL; "" for the file itself */
    char *text;    /* of the line */
};

struct agent_matches {
    struct agent_match *items; /* in no order but that of a file's lines */
    size_t count;
    bool is_limited; /* there may be more: `limit` matches, or AGENT_SEARCH_BYTES_MAX of them */
    bool is_late;    /* there may be more: the time is over */
    uint64_t files;  /* that were read */
    uint64_t binary; /* of them, those with a zero byte, which end there */
    uint64_t unread; /* files and folders that could not be read, or lie too deep */
};

/* Accepts a zeroed one. */
void agent_matches_free(struct agent_matches *matches);

/* ERR_NOT_POSSIBLE (field "content") for what is no regular expression. The caller frees. */
int agent_search(struct agent_client *client, const struct agent_search_request *request,
                 int64_t deadline_usec, struct agent_matches *ret_matches, struct error *err);

#endif
