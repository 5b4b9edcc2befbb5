/*
 * What the launcher gives up at its start, and what a child gives up before the agent runs.
 */
#ifndef LAUNCHER_PRIVILEGES_H
#define LAUNCHER_PRIVILEGES_H

#include <atoll/error.h>

/* Keeps of the launcher's capabilities only those that making sandboxes takes. */
int privileges_trim(struct error *err);

/* Makes every capability that is permitted effective. -1 and errno. */
int privileges_raise(void);

/* Child side, -1 and errno: trims the bounding set to what the profile's agent may ever have. */
int privileges_drop_bounding(unsigned profile);

/* Child side, -1 and errno: the same set becomes the permitted and effective one. */
int privileges_keep_agent(unsigned profile);

#endif
