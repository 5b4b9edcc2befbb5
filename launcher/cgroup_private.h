/* What cgroup.c, cgroup_open.c and cgroup_scan.c share; nobody else includes it. */
#ifndef LAUNCHER_CGROUP_PRIVATE_H
#define LAUNCHER_CGROUP_PRIVATE_H

#include "launcher/cgroup.h"

#include "lib/host/cgroup_mounts.h"

/* On v2 every controller and the freezer are in the one hierarchy. */
#define CGROUP_V2_PARTS (CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS | CGROUP_FREEZER | CGROUP_CPUACCT)

#define CGROUP_MARK_NAME "trusted.atoll.run"

#endif
