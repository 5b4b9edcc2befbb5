/*
 * The tenant that everything belongs to until others are made: migrations create its row, tokens
 * without a `tenant` claim and `auth.mode = "off"` act for it.
 */
#ifndef ATOLL_TENANT_H
#define ATOLL_TENANT_H

#include <atoll/id.h>

/* A UUID of version 7 with the time 0. */
#define AUTH_DEFAULT_TENANT "00000000000070008000000000000001"

#endif
