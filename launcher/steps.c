#include "launcher/steps.h"

static const char *const texts[CREATE_STEP_COUNT] = {
#define CREATE_STEP_TEXT(symbol, text) [symbol] = (text),
    CREATE_STEPS(CREATE_STEP_TEXT)
#undef CREATE_STEP_TEXT
};

const char *create_step_text(uint32_t step)
{
    return step < CREATE_STEP_COUNT ? texts[step] : "an unknown step";
}
