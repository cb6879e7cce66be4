internal import PTO2System

/// Environment variables of the original that this runtime does not read. Who sets one
/// expects something of it, so it is named, with what does the same here.
enum ForeignVariables {
  static let all: [(name: String, instead: String)] = [
    ("PTO2_SCHEDULER_TIMEOUT_MS", "--stall-limit"),
    ("PTO2_OP_EXECUTE_TIMEOUT_US", "--kernel-deadline"),
    ("PTO2_STREAM_SYNC_TIMEOUT_MS", "--stall-limit"),
  ]

  /// A line for each that is set.
  static func notices(_ environment: (String) -> String?) -> [String] {
    all.filter { environment($0.name) != nil }.map {
      "pto2: \($0.name) is set and has no effect here; use \($0.instead)"
    }
  }
}
