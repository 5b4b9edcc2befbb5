/* What an operation that fails answers with. */
#ifndef AGENT_FAILURE_H
#define AGENT_FAILURE_H

#include "lib/agentproto/message.h"

/* Fills the answer with the step that failed and its errno. Returns false, as its callers do. */
static inline bool agent_failed(struct agent_error_message *ret_error, enum agent_stage stage,
                                int errnum)
{
    *ret_error = (struct agent_error_message){.stage = stage, .errnum = (uint32_t)errnum};
    return false;
}

#endif
