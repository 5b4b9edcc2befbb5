#include "cli/console.h"

#include <errno.h>
#include <sys/ioctl.h>

enum { ROWS_DEFAULT = 24, COLUMNS_DEFAULT = 80 };

int console_make_raw(struct console *console, struct error *err)
{
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &raw) < 0)
        return error_set(err, ERR_BAD_REQUEST, "standard input is no terminal");
    if (!console->is_raw)
        console->before = raw;
    cfmakeraw(&raw);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
        return error_set_errno(err, errno, "the terminal cannot be made raw");
    console->is_raw = true;
    return 0;
}

void console_restore(struct console *console)
{
    if (console->is_raw)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &console->before);
    console->is_raw = false;
}

void console_size(unsigned *ret_rows, unsigned *ret_columns)
{
    struct winsize size = {.ws_row = 0};

    (void)ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
    *ret_rows = size.ws_row > 0 ? size.ws_row : ROWS_DEFAULT;
    *ret_columns = size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
}
