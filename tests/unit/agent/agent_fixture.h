/*
 * A real agent for tests: the built program as process 1 of user, pid, mount and ipc namespaces,
 * with a listening socket as its descriptor 3 and a log folder as 4.
 *
 * Needs root (the agent changes to other users) and user namespaces; where they are missing
 * agent_fixture_start says so and returns false, and the tests skip.
 *
 * Most groups of tests share one agent: agent_group_set_up and agent_group_tear_down are for
 * cmocka, agent_group is what a test calls.
 */
#ifndef TESTS_UNIT_AGENT_FIXTURE_H
#define TESTS_UNIT_AGENT_FIXTURE_H

#include "lib/runtime/agent_client.h"

#include <sys/types.h>

enum { AGENT_FIXTURE_FOLDER_SIZE = 128 };

struct agent_fixture {
    pid_t keeper;    /* child of the test and parent of the agent */
    int talk_fd;     /* its close tells the keeper to end the agent */
    pid_t agent;     /* as the test's pid namespace numbers it */
    char folder[64]; /* a temporary folder that anybody inside may write to */
    char socket[96];
    char logs[96]; /* the agent's log folder */
};

/* Starts an agent with --profile=`profile`; false when this host or user cannot. */
bool agent_fixture_start(struct agent_fixture *fixture, const char *profile);

/* Ends the agent and removes the folder. */
void agent_fixture_stop(struct agent_fixture *fixture);

/* One agent of the strict profile for all tests of a group; they skip when it does not start. */
int agent_group_set_up(void **state);
int agent_group_tear_down(void **state);

/* The agent of the test's group; does not return when there is none, but skips the test. */
const struct agent_fixture *agent_group(void **state);

/* Makes a new folder for one test, which anybody inside may write to. */
void agent_fixture_folder(const struct agent_fixture *fixture,
                          char folder[static AGENT_FIXTURE_FOLDER_SIZE]);

/* A new connection, or a failed assertion. */
struct agent_client *agent_fixture_connect(const struct agent_fixture *fixture);

/* A connected raw socket, to say what no client would. */
int agent_fixture_socket(const struct agent_fixture *fixture);

/* The log folder, opened; the caller's to close. */
int agent_fixture_logs(const struct agent_fixture *fixture);

/* Far enough not to matter unless something hangs. */
int64_t agent_fixture_deadline(void);

#endif
