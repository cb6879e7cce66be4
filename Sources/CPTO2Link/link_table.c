/* A target has a source file. */
#include "pto2_link_table.h"
