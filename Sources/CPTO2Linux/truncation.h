/* Between the signal handlers of this module. */
#ifndef PTO2_TRUNCATION_H
#define PTO2_TRUNCATION_H

#include <signal.h>

/* True when the fault lies in a watched segment, beyond the object's end. */
int pto2_is_truncated(const siginfo_t *info);
/* Says so and ends the process. Async-signal-safe. */
_Noreturn void pto2_report_truncation(const siginfo_t *info);

#endif
