/*
 * Terminals of the sandbox's own devpts. The far end is opened through the near one (TIOCGPTPEER),
 * so that no path that a process may have changed is followed.
 */
#ifndef AGENT_TERMINAL_H
#define AGENT_TERMINAL_H

#include <stdint.h>
#include <sys/types.h>

/* Opens a terminal that belongs to `uid`: `ret_near` is the agent's, which does not block. 0 or an
 * errno. */
int terminal_open(uid_t uid, uint16_t rows, uint16_t columns, int *ret_near, int *ret_far);

/* Tells the terminal its size; its foreground group gets SIGWINCH. 0 or an errno. */
int terminal_resize(int near, uint16_t rows, uint16_t columns);

#endif
