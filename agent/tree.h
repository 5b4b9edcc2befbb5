/*
 * All processes that came from one command, however they hide.
 *
 * A session or a process group can be left by setsid(2), a parent by dying. What every descendant
 * inherits and cannot shed without CAP_SYS_RESOURCE is a hard resource limit: each command gets its
 * own value of RLIMIT_RTTIME (it only concerns real-time scheduling, which sandboxes do not have).
 * A second one of RLIMIT_LOCKS, which means nothing any more, tells who has lowered the first.
 * A process may lower its limit; marks are therefore given out downwards, and what lies below every
 * mark given out so far belongs to no command and dies with the next tree that is killed.
 *
 * While nothing but the one tree lives, kill(-1) by process 1 does the same in one step that no
 * fork can outrun.
 */
#ifndef AGENT_TREE_H
#define AGENT_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/*
 * Learns the agent's own limit. EPERM unless the agent is process 1: all that this module may
 * signal lives in its pid namespace, and orphans must come to it. 0 or an errno.
 */
int tree_init(void);

/* Sets up a new tree and gives its mark; the caller's child sets it with tree_join. */
uint64_t tree_begin(void);

/* The command of `mark` is over. What it left running stays, unless it was killed before. */
void tree_end(void);

/* In the child: takes the mark. 0 or an errno. */
int tree_join(uint64_t mark);

/* True when the agent has no child at all, so no process of any tree lives. */
bool tree_empty(void);

/* True when in addition every command is over. */
bool tree_idle(void);

/* Told by the reaper: whether the kernel said that there are no children. */
void tree_reaped(bool no_children);

/* Sends `signum` to every process of the sandbox but the agent. True when there was none, as with
 * the next. */
bool tree_signal_all(int signum);

/* Sends `signum` to every member, and to the command's own process `pid` (0: it was reaped), which
 * may not have joined yet. True when there was none, not even one to be reaped. */
bool tree_signal(uint64_t mark, pid_t pid, int signum);

/* The same for a command that is over: what it had left running. */
bool tree_signal_ended(uint64_t mark, int signum);

#endif
