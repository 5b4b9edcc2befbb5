/* The terminal that the program runs in, given to a command of a sandbox for a while. */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include <atoll/cleanup.h>
#include <atoll/error.h>
#include <stdbool.h>
#include <termios.h>

/* Standard input, when it is a terminal; zeroed before the first use. */
struct console {
    bool is_raw;
    struct termios before;
};

/*
 * From here on keys have no meaning here: Ctrl-C is a byte. Once more, after the program was
 * stopped, it leaves the settings from before the first time. ERR_BAD_REQUEST without a terminal.
 */
int console_make_raw(struct console *console, struct error *err);

/* The settings from before; nothing when it is not raw. */
void console_restore(struct console *console);

/* Its size in characters; 24 by 80 where it does not know. */
void console_size(unsigned *ret_rows, unsigned *ret_columns);

static inline void cleanup_console(struct console *console)
{
    console_restore(console);
}
#define _cleanup_console_ _cleanup_(cleanup_console)

#endif
