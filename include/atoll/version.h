/* The version of the whole tree. */
#ifndef ATOLL_VERSION_H
#define ATOLL_VERSION_H

#define ATOLL_VERSION "0.1.0"

#endif
