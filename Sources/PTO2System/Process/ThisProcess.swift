internal import CPTO2Linux
internal import Glibc

#if PTO2_SIMULATION
  internal import PTO2Protocol
#endif

/// Ends this process when its parent `parent` does, and at once when it has
/// done so already. prctl(2) PR_SET_PDEATHSIG.
/// - Returns: false where Linux does not let it: then somebody must watch the parent.
package func followParent(_ parent: Int32) -> Bool {
  let status = pto2_set_parent_death_signal(SIGKILL)
  if getppid() != parent { _exit(1) }
  return status >= 0
}

/// Undoes `followParent`.
package func outliveParent() { _ = pto2_set_parent_death_signal(0) }

/// For a supervised child: Ctrl-C in the terminal is the orchestrator's matter.
package func ignoreTerminalSignals() { pto2_ignore_terminal_signals() }

/// This thread runs before those that compute, once it is woken, and for short: Linux lets whoever
/// asks for the shorter time slice run first (EEVDF; sched_setattr(2), from 6.12 on). It still gets
/// no more than its share of the CPU. Elsewhere this does nothing.
package func askForShortSlices() { _ = pto2_set_slice(100_000) }

/// For the process of a command: a parent that ignores SIGCHLD is no reason not to hear
/// how children end.
package func hearOfChildren() { pto2_default_child_signal() }

/// Why this process cannot take part in a session, where the Swift runtime would trap in the
/// middle of one: it is allowed too little memory. Nil when nothing is known to be wrong.
package func lackOfMemory() -> String? {
  let (limit, needed) = (pto2_limit(Int32(PTO2_LIMIT_DATA)), UInt64(16) << 20)
  guard limit < needed else { return nil }
  return
    "this process may have \(limit) bytes of memory (ulimit -d \(limit >> 10)), and needs \(needed) at least: raise that"
}

/// True in a child that user code has made with fork(2): it has no part in the session.
package var isForkedCopy: Bool {
  #if PTO2_SIMULATION
    false
  #else
    pto2_is_forked() != 0
  #endif
}

/// Bytes of the stack that every core has, as far as the hard limit lets it.
package let coreStackBytes = 8 << 20

/// Standard output line by line, and a stack of the same size as every other core's.
package func prepareForKernels() {
  pto2_print_lines()
  pto2_limit_stack(UInt64(coreStackBytes))
}

/// Libraries with threads of their own (OpenMP, OpenBLAS, MKL, BLIS) use one a process, unless the
/// environment says something else: every core has a process. Before they are loaded.
package func limitThreadsOfLibraries() { _ = unsafe setenv("OMP_NUM_THREADS", "1", 0) }

/// _exit(2): ends the process without running exit handlers.
package func exitNow(_ status: Int32) -> Never {
  #if PTO2_SIMULATION
    Simulation.exit(status)
  #else
    _exit(status)
  #endif
}
