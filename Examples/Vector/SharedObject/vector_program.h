/* The entry points that pto2-orchestrator looks for. */
#ifndef VECTOR_PROGRAM_H
#define VECTOR_PROGRAM_H
#include "pto2_program.h"
int32_t pto2_program_main(const pto2_program_api *api, pto2_graph *graph, int32_t argc,
                          const char *const *argv);
const char *const *pto2_program_images(void);
#endif
