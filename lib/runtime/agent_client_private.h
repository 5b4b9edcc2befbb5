/* What the modules that share a client's connection need of it. */
#ifndef LIB_RUNTIME_AGENT_CLIENT_PRIVATE_H
#define LIB_RUNTIME_AGENT_CLIENT_PRIVATE_H

#include "lib/runtime/agent_channel.h"
#include "lib/runtime/agent_client.h"

struct agent_client {
    struct agent_channel channel;
};

#endif
