// PCRE2 names its 8-bit functions by macro; Swift sees them as pcre2_*_8.
#pragma once
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
