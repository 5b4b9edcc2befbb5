/*
 * The private PostgreSQL of `atoll dev`: a cluster of its own under <state>/postgres, reached over
 * a unix socket in a folder that only the service's user and root may enter, and by peer
 * authentication alone. It never listens on TCP and never runs as root.
 */
#ifndef CLI_CLUSTER_H
#define CLI_CLUSTER_H

#include "cli/supervisor.h"
#include <limits.h>

enum { CLUSTER_TEXT_SIZE = PATH_MAX + 64 };

struct cluster_place {
    const char *state_dir;
    const char *socket_dir; /* exists and belongs to `identity` */
    const char *user;       /* the name of `identity` */
    const struct identity *identity;
};

/* Everything here lives as long as the supervisor that runs it. All-zero at first. */
struct cluster {
    char folder[PATH_MAX];        /* <state>/postgres: root's, readable for the user's group */
    char programs[64];            /* the folder of postgres and initdb */
    char data[CLUSTER_TEXT_SIZE]; /* the data folder */
    char settings[5][CLUSTER_TEXT_SIZE];
    const char *argv[40];
    char notify_variable[96]; /* NOTIFY_SOCKET=… */
    char *environment[4];
    int notify_fd;
    int log_fd;
    struct identity identity;
    struct service service;
};

/*
 * Finds PostgreSQL, makes the cluster with its roles and database when there is none, removes what
 * a crash left, and fills `cluster->service`. The caller holds the lock of the state folder.
 */
int cluster_prepare(struct cluster *cluster, struct supervisor *supervisor,
                    const struct cluster_place *place, struct error *err);

/* Waits until it takes connections. *ret_stop: a signal asked for the end meanwhile. */
int cluster_wait(struct cluster *cluster, struct supervisor *supervisor, bool *ret_stop,
                 struct error *err);

/*
 * "/usr/lib/postgresql/N/bin" of the newest installed PostgreSQL that is recent enough, or of
 * `exact_version` when that is not 0.
 */
int cluster_find_programs(unsigned exact_version, char folder[static 64], struct error *err);

#endif
