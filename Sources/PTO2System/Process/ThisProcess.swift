#if PTO2_SIMULATION
  internal import PTO2Protocol
#endif
internal import CPTO2Linux
internal import Glibc

/// Ends this process when its parent `parent` does, and at once when it has
/// done so already. prctl(2) PR_SET_PDEATHSIG.
package func followParent(_ parent: Int32) {
  _ = pto2_set_parent_death_signal(SIGKILL)
  if getppid() != parent { _exit(1) }
}

/// Undoes `followParent`.
package func outliveParent() { _ = pto2_set_parent_death_signal(0) }

/// For a supervised child: Ctrl-C in the terminal is the orchestrator's matter.
package func ignoreTerminalSignals() { pto2_ignore_terminal_signals() }

/// _exit(2): ends the process without running exit handlers.
package func exitNow(_ status: Int32) -> Never {
  #if PTO2_SIMULATION
    Simulation.exit(status)
  #else
    _exit(status)
  #endif
}
