#include "agent/reaper.h"

#include "agent/peer.h"
#include "agent/process.h"
#include "agent/tree.h"

#include <errno.h>
#include <sys/wait.h>

bool reaper_run(void)
{
    struct rusage usage;
    pid_t pid = 0;
    int status;

    for (unsigned i = 0; i < REAPER_PIECE; i++) {
        pid = wait4(-1, &status, WNOHANG, &usage);
        if (pid <= 0)
            break;
        peers_child_exited(pid, status, &usage);
        processes_child_exited(pid, status, &usage);
    }
    tree_reaped(pid < 0 && errno == ECHILD);
    return pid > 0;
}
