/*
 * Where the parts of Atoll lie: beside this binary in a build folder (build/bin, images/ two levels
 * up), or in <prefix>/lib/atoll when it is installed in <prefix>/bin.
 */
#ifndef CLI_PATHS_H
#define CLI_PATHS_H

#include <atoll/error.h>
#include <limits.h>

struct paths {
    char self[PATH_MAX];     /* this binary */
    char programs[PATH_MAX]; /* the folder of the daemons and the agent */
    char recipes[PATH_MAX];  /* the folder with a folder for each image */
};

int paths_find(struct paths *ret_paths, struct error *err);

#endif
