/* Numbers that orchestrations use to print times. */
#ifndef PTO2_COMPAT_PLATFORM_CONFIG_H
#define PTO2_COMPAT_PLATFORM_CONFIG_H

#include <cstdint>

/* Ticks of get_sys_cnt_aicpu in a second: it counts nanoseconds here. */
inline constexpr uint64_t PLATFORM_PROF_SYS_CNT_FREQ = 1000000000;

#endif
