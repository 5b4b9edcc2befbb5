/*
 * The start-up scan: what an earlier launcher made and still lives is adopted, what is dead is
 * swept. Only names of our pattern with our mark are looked at.
 */
#ifndef LAUNCHER_ADOPT_H
#define LAUNCHER_ADOPT_H

#include "launcher/launcher.h"

#include <atoll/error.h>

int adopt_all(struct launcher *launcher, struct error *err);

#endif
