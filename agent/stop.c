#include "agent/stop.h"

#include "agent/clock.h"
#include "agent/process.h"
#include "agent/tree.h"

#include <signal.h>

enum { LAST_WORDS_USEC = 500 * 1000 }; /* for others to take what they have not heard yet */

static struct {
    unsigned holders;
    int64_t kill_usec; /* monotonic; INT64_MAX: done */
    int64_t over_usec; /* monotonic, since when all has ended */
    bool seen_over;    /* those who wait were woken */
    bool others_move;
} stop = {.kill_usec = INT64_MAX};

static void terminate(void)
{
    (void)tree_signal_all(SIGTERM);
    /* Shells at a terminal ignore TERM; what is stopped acts on neither. */
    processes_hang_up();
    (void)tree_signal_all(SIGCONT);
}

static void kill_all(void)
{
    stop.kill_usec = INT64_MAX;
    (void)tree_signal_all(SIGKILL);
}

void stop_begin(uint32_t grace_ms)
{
    int64_t kill_usec = clock_usec() + (int64_t)grace_ms * 1000;

    stop.seen_over = false;
    stop.holders++;
    processes_finish();
    if (grace_ms > 0 && stop.holders == 1)
        terminate();
    if (grace_ms == 0)
        kill_all();
    else if (stop.holders == 1 || kill_usec < stop.kill_usec)
        stop.kill_usec = kill_usec;
}

void stop_release(void)
{
    stop.holders--;
    if (stop.holders == 0)
        stop.kill_usec = INT64_MAX;
}

bool stop_begun(void)
{
    return stop.holders > 0;
}

void stop_tell_last(bool others_move)
{
    stop.others_move = others_move;
}

static bool all_ended(void)
{
    return stop.holders > 0 && tree_idle();
}

bool stop_over(void)
{
    return all_ended() && stop.seen_over &&
           (!stop.others_move || clock_usec() - stop.over_usec > LAST_WORDS_USEC);
}

int stop_run(void)
{
    int64_t now;

    if (stop.holders == 0 || stop.seen_over)
        return -1;
    now = clock_usec();
    if (all_ended()) {
        stop.seen_over = true;
        stop.over_usec = now;
        return 0; /* those who wait have had their turn already */
    }
    if (now >= stop.kill_usec)
        kill_all();
    return clock_timeout_ms(stop.kill_usec, now);
}
