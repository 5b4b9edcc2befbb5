/*
 * Scope-bound ownership: a variable marked with one of these is released when it leaves scope,
 * unless it was handed on with TAKE_PTR or TAKE_FD. The destructors accept "nothing" (NULL, -1).
 * Types of other libraries (PGresult, cJSON, CURL) have theirs beside the module that wraps them.
 */
#ifndef ATOLL_CLEANUP_H
#define ATOLL_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

/* Defines cleanup_<name>(type *) that calls `destroy` on a non-NULL pointer. */
#define DEFINE_CLEANUP(type, name, destroy)                                                        \
    static inline void cleanup_##name(type *pointer)                                               \
    {                                                                                              \
        if (*pointer)                                                                              \
            destroy(*pointer);                                                                     \
    }

static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_close(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

DEFINE_CLEANUP(FILE *, fclose, (void)fclose)
DEFINE_CLEANUP(DIR *, closedir, (void)closedir)

#define _cleanup_free_     _cleanup_(cleanup_free)
#define _cleanup_close_    _cleanup_(cleanup_close)
#define _cleanup_fclose_   _cleanup_(cleanup_fclose)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)

/* Hands the value on: the variable is empty afterwards. */
#define TAKE_PTR(pointer)                                                                          \
    __extension__({                                                                                \
        __typeof__(pointer) *taken_ = &(pointer);                                                  \
        __typeof__(pointer) value_ = *taken_;                                                      \
        *taken_ = NULL;                                                                            \
        value_;                                                                                    \
    })

#define TAKE_FD(fd)                                                                                \
    __extension__({                                                                                \
        int *taken_ = &(fd);                                                                       \
        int value_ = *taken_;                                                                      \
        *taken_ = -1;                                                                              \
        value_;                                                                                    \
    })

#endif
