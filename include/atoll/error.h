/*
 * The one error object of the whole tree.
 *
 * A fallible function returns 0 on success and -1 on failure, and fills the caller's
 * `struct error` on failure only. Context is added while unwinding (error_wrap), so that the cause
 * survives from a kernel call up to the HTTP answer. Libraries return errors; only a program's top
 * level logs them. The object owns no memory: it can be copied and dropped freely.
 *
 * The table below is the only declaration of error codes: the HTTP status, the `code` a client
 * sees and docs/errors.md derive from it.
 */
#ifndef ATOLL_ERROR_H
#define ATOLL_ERROR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* X(symbol, wire code, HTTP status, meaning) */
#define ERROR_CODES(X)                                                                             \
    X(ERR_INTERNAL, "internal", 500, "A fault of the service; the request id finds it in the log") \
    X(ERR_BAD_REQUEST, "bad_request", 400, "The request is not well-formed HTTP or JSON")          \
    X(ERR_INVALID_FIELD, "invalid_field", 400, "A field has the wrong type, range or length")      \
    X(ERR_UNKNOWN_FIELD, "unknown_field", 400, "A field that this request does not have")          \
    X(ERR_MISSING_FIELD, "missing_field", 400, "A required field is absent")                       \
    X(ERR_UNAUTHENTICATED, "unauthenticated", 401, "No valid token came with the request")         \
    X(ERR_FORBIDDEN, "forbidden", 403, "The token does not allow this")                            \
    X(ERR_PERMISSION, "permission_denied", 403, "The sandbox's user may not do this to the file")  \
    X(ERR_COMMAND, "command_refused", 403, "The project's command policy does not let this run")   \
    X(ERR_NOT_FOUND, "not_found", 404, "There is no such resource, or it is not yours")            \
    X(ERR_METHOD_NOT_ALLOWED, "method_not_allowed", 405, "The resource has no such method")        \
    X(ERR_REQUEST_TIMEOUT, "request_timeout", 408, "The request did not arrive in time")           \
    X(ERR_NOT_ACCEPTABLE, "not_acceptable", 406, "The resource has no form that Accept allows")    \
    X(ERR_CONFLICT, "conflict", 409, "The resource is in a state that does not allow this")        \
    X(ERR_PRECONDITION, "precondition_failed", 412, "If-Match names another version of it")        \
    X(ERR_TOO_LARGE, "too_large", 413, "The request body is over its limit")                       \
    X(ERR_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 415, "The body is not JSON")           \
    X(ERR_RANGE, "range_not_satisfiable", 416, "Range begins behind the end")                      \
    X(ERR_EXPECTATION_FAILED, "expectation_failed", 417, "The only expectation is 100-continue")   \
    X(ERR_NOT_SUPPORTED, "not_supported", 422, "This installation cannot give what was asked for") \
    X(ERR_NOT_POSSIBLE, "not_possible", 422, "Well-formed, but it cannot be; the detail says why") \
    X(ERR_IDEMPOTENCY, "idempotency_mismatch", 422, "The key came before with another request")    \
    X(ERR_UPGRADE_REQUIRED, "upgrade_required", 426, "The resource is a WebSocket")                \
    X(ERR_QUOTA, "quota_exceeded", 429, "A quota of the tenant or project is used up")             \
    X(ERR_TOO_MANY, "too_many", 429, "A limit is reached; Retry-After says when to try again")     \
    X(ERR_HEADERS_TOO_LARGE, "headers_too_large", 431, "The request's header is over its limit")   \
    X(ERR_NOT_IMPLEMENTED, "not_implemented", 501, "There is no such method or upgrade here")      \
    X(ERR_BAD_GATEWAY, "bad_gateway", 502, "A part of the service broke off its answer")           \
    X(ERR_UNAVAILABLE, "unavailable", 503, "A part of the service is away; try again shortly")     \
    X(ERR_RUNTIME_MISSING, "runtime_missing", 422, "The image of this runtime is not installed")   \
    X(ERR_HTTP_VERSION, "http_version", 505, "Only HTTP/1.1 and HTTP/1.0 are spoken")              \
    X(ERR_INSUFFICIENT_STORAGE, "insufficient_storage", 507, "The sandbox's disk is full")

enum error_code {
#define ERROR_ENUM(symbol, wire, status, meaning) symbol,
    ERROR_CODES(ERROR_ENUM)
#undef ERROR_ENUM
        ERROR_CODE_COUNT
};

enum { ERROR_MESSAGE_MAX = 512, ERROR_FIELD_MAX = 64 };

struct error {
    enum error_code code;
    char field[ERROR_FIELD_MAX]; /* the request field at fault, or "" */
    char message[ERROR_MESSAGE_MAX];
    /* ERR_QUOTA and ERR_TOO_MANY, where known: */
    int64_t limit;          /* 0: not told */
    int64_t used;           /* towards the limit, before what was refused */
    unsigned retry_after_s; /* for Retry-After; 0: the default */
};

/* Fills `err` (NULL is allowed) and returns -1, so that callers write `return error_set(...)`. */
int error_set(struct error *err, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set, and names the request field at fault. */
int error_set_field(struct error *err, enum error_code code, const char *field, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));

/* As error_set, and tells a limit that was reached, what is used of it, and when to try again. */
int error_set_limit(struct error *err, enum error_code code, int64_t limit, int64_t used,
                    unsigned retry_after_s, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* As error_set with ": " and the text of `errnum` appended. The code is ERR_INTERNAL. */
int error_set_errno(struct error *err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set with ERR_INTERNAL, for an allocation that failed and has nothing else to tell. */
int error_no_memory(struct error *err);

/* Puts "context: " in front of the message; code and field stay. Returns -1. */
int error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The `code` a client sees, e.g. "not_found". */
const char *error_code_name(enum error_code code);

/* The HTTP status of a code, e.g. 404. */
int error_code_status(enum error_code code);

#endif
