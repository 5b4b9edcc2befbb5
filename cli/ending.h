/*
 * A signal that ends us while a command runs that prints for us: it is passed on to the command
 * first, since nobody would read what it writes, or end it.
 */
#ifndef CLI_ENDING_H
#define CLI_ENDING_H

#include "cli/api.h"

#include <signal.h>

/* A command that we follow. */
struct followed {
    const char *sandbox;
    const char *process;
    uint64_t offset; /* behind the output that came */
};

/* Adds those signals that end us, but for the ignored ones (as nohup has it). SIGPIPE is none. */
void ending_add_signals(sigset_t *set);

/* From here on such a signal is only remembered. SIGPIPE is ignored: a write tells that nobody
 * reads. */
void ending_watch(void);

/* The signal that came; 0: none. */
const volatile sig_atomic_t *ending_came(void);

/* Passes a signal on to the command, by a request of its own; the next signal ends us meanwhile.
 * Complains when it cannot. */
void ending_pass(struct api *api, const struct followed *followed, int number);

/* Ends us as the signal does. */
int ending_die(int number);

#endif
