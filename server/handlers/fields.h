/* Fields that objects of /v1 share, for the tables of records of `type_`. */
#ifndef SERVER_HANDLERS_FIELDS_H
#define SERVER_HANDLERS_FIELDS_H

#include "lib/json/json.h"

enum { FIELD_NAME_MAX = 255 };

/* `name`, for people. */
#define FIELD_NAME(type_, required_, about_)                                                       \
    {                                                                                              \
        .name = "name", .type = JSON_TYPE_STRING, .required = (required_), .min = 1,               \
        .max = FIELD_NAME_MAX, .offset = offsetof(type_, name), .about = (about_)                  \
    }

/* `id`. */
#define FIELD_ID(type_)                                                                            \
    {                                                                                              \
        .name = "id", .type = JSON_TYPE_ID, .required = true, .offset = offsetof(type_, id)        \
    }

/* `created_at` and `updated_at`. */
#define FIELDS_CHANGED(type_)                                                                      \
    {.name = "created_at",                                                                         \
     .type = JSON_TYPE_TIME,                                                                       \
     .required = true,                                                                             \
     .offset = offsetof(type_, created_usec)},                                                     \
    {                                                                                              \
        .name = "updated_at", .type = JSON_TYPE_TIME, .required = true,                            \
        .offset = offsetof(type_, updated_usec)                                                    \
    }

#endif
