/* Between the signal handlers of this module. */
#ifndef PTO2_OBJECTS_H
#define PTO2_OBJECTS_H

#include <signal.h>

/* Ends the process as `pto2_guard_objects` has it when the fault comes after the file of a
 * loaded object was changed; otherwise returns. */
void pto2_report_changed_object(const siginfo_t *info);

#endif
