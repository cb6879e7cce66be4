/// How an orchestrator starts its scheduler and workers.
///
/// Both sides of the command line stand here, so that a process that is started
/// in this way reads it without an argument parser: that takes a millisecond.
/// Any other command line is for people, and for the parser.
package struct SupervisedLaunch: Equatable {
  /// Name of the segment.
  package var segment: String
  /// Process id of the orchestrator.
  package var parent: Int32
  /// Name of the core to host; nil for the scheduler.
  package var core: String?

  package init(segment: String, parent: Int32, core: String? = nil) {
    self.segment = segment
    self.parent = parent
    self.core = core
  }

  /// Without the executable.
  package var arguments: [String] {
    ["--segment", segment, "--parent", "\(parent)"] + (core.map { ["--core", $0] } ?? [])
  }

  /// - Parameter arguments: without the executable; nil unless they are exactly
  ///   what `arguments` gives.
  package init?(_ arguments: [String]) {
    guard arguments.count == 4 || arguments.count == 6, let parent = Int32(arguments[3]) else {
      return nil
    }
    self.init(
      segment: arguments[1], parent: parent, core: arguments.count == 6 ? arguments[5] : nil)
    guard arguments == self.arguments else { return nil }
  }
}
