/*
 * Processes that were started to live on their own: no connection holds them, any may ask for them
 * by their id. What they write goes into their log (agent/log_file.h).
 *
 * The table is fixed. An entry stays, also when its process has ended, until it is forgotten.
 */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include "agent/command.h"
#include "agent/log_file.h"

struct process {
    bool used;
    bool awaited;    /* a connection waits to hear whether it could be started */
    bool final;      /* it is not started again */
    uint32_t index;  /* in the table */
    uint32_t serial; /* of this use of the entry */
    enum agent_process_state state;
    struct agent_process_message known; /* identity, attempts, the last end */
    struct command command;
    struct log_file log;
    uint8_t *request; /* a START, as long as it may be needed again; else NULL */
    size_t request_size;
    uint32_t retries_left;
    uint32_t backoff_ms; /* before the next attempt */
    int64_t retry_usec;  /* monotonic; when RESTARTING */
};

/* 0 or an errno. */
int processes_init(void);

/* Starts a process, which the caller has to take or let go of (process_confirm, process_release).
 * NULL with `ret_error` when there is none. */
struct process *process_start(struct agent_start_message *message,
                              struct agent_error_message *ret_error);

/* Whether the process that was started runs: 1; or cannot, with `ret_error`: -1, and it is gone; or
 * that is not known yet: 0. */
int process_confirm(struct process *process, struct agent_error_message *ret_error);

/* The starter does not wait any more. */
void process_release(struct process *process);

/* The process of this id, or NULL. */
struct process *process_find(const struct id *id);

/* The process at `index` if it is still the use `serial` of the entry, or NULL. */
struct process *process_at(uint32_t index, uint32_t serial);

/* The first process at or behind `index`, or NULL. */
struct process *process_from(uint32_t index);

/* What is known of it now. */
void process_describe(const struct process *process, struct agent_process_message *ret_message);

/* 0 or an errno. */
int process_signal(struct process *process, const struct agent_signal_message *message);
int process_resize(struct process *process, uint16_t rows, uint16_t columns);

/* EBUSY while it lives. */
int process_forget(struct process *process, bool remove_log);

/* None of them is started again; one that waits for that has ended. */
void processes_finish(void);

/* Sends HUP to those that were started at a terminal. */
void processes_hang_up(void);

/* As peers_event, peers_child_exited and peers_run (agent/peer.h). */
void processes_event(const struct poller_event *event);
void processes_child_exited(pid_t pid, int status, const struct rusage *usage);
int processes_run(void);

#endif
