package import PTO2Protocol

extension PTO2ErrorCode {
  /// What to do about it, in a sentence; docs/operations.md says more.
  package var advice: String {
    switch self {
    case .scopeDeadlock, .flowControlDeadlock:
      "end the scope earlier, or set a larger --consumed-window (a power of two)"
    case .heapRingDeadlock: "end the scope earlier, or set a larger --heap"
    case .depPoolOverflow: "set a larger --dep-pool, or give the task fewer producers"
    case .invalidArgs: "the message names the argument"
    case .requireSyncStartInvalid: "fewer blocks, or more --clusters"
    case .tensorWaitTimeout: "give a larger limit, or look what the task waits for"
    case .explicitOrchFatal: "the program itself has ended the run"
    case .tensorMapOverflow: "set a larger --tensor-map"
    case .schedulerTimeout: "the message says whose turn it was; or set a larger --stall-limit"
    case .encodingOverflow: "smaller task windows, fewer rings, or a larger --address-space"
    case .workerDied: "the message names core, signal, task and kernel: see docs/faults.md"
    case .schedulerDied: "the message says how"
    case .orchestratorDied: "look how the orchestrator has ended"
    case .workerMissing: "the message has the command that starts the worker"
    case .schedulerMissing: "start a scheduler, or set a longer --attach-timeout"
    case .imageRefused: "build all of one source, and start everything again"
    case .garbageWord, .protocolViolation:
      "something has overwritten the segment: look for a wild store in the kernels"
    case .outOfMemory: "make /dev/shm larger, or the rings and the arena smaller"
    case .interrupted: "a signal has asked for the end"
    case .rankDied: "look how that rank has ended: its own standard error, the system's log there"
    case .diverged:
      "run one program on all ranks, and let nothing steer it that differs between them: a clock, an address, the order of a Set"
    case .linkDied: "look how pto2-link has ended; MPI cannot be started twice by one rank"
    case .peerSilent: "look at the network, and at what that rank is doing (pto2 stuck there)"
    case .segmentTruncated: "something outside the run has made the segment smaller: look what"
    }
  }
}
