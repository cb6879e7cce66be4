#if !PTO2_SIMULATION
  internal import CPTO2Linux
#endif

/// Why processes cannot be confined on this machine; nil when they can.
package func confinementProblem() -> SystemError? {
  #if PTO2_SIMULATION
    return nil
  #else
    let abi = pto2_landlock_abi()
    return abi > 0 ? nil : SystemError("landlock_create_ruleset", "Landlock", errno: -abi)
  #endif
}

/// For this thread and all that it starts, for good: no file in /dev/shm or /proc is opened
/// for writing, and no other process traced or changed (Landlock, seccomp).
package func confine() throws(SystemError) {
  #if !PTO2_SIMULATION
    let status = pto2_confine()
    if status < 0 { throw SystemError("landlock_restrict_self", "this process", errno: -status) }
  #endif
}
