internal import CPTO2Segment
internal import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// Which of the processes that mpirun(1) has started this one is: its rank, and how many
/// there are.
package struct RankEnvironment: Equatable, Sendable {
  package var rank: UInt32 = 0
  package var ranks: UInt32 = 1
  /// The others are made up; see `--pretend-ranks`.
  package var isPretended = false

  package init() {}

  /// One of so many that are not there: `64`, or `64:7` for the rank with that number.
  /// - Returns: nil for any other text.
  package init?(pretended text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { UInt32($0) }
    guard (1...2).contains(parts.count), let count = parts[0], let own = parts.last ?? nil,
      (2...UInt32(PTO2_MAX_RANKS)).contains(count)
    else { return nil }
    ranks = count
    rank = parts.count == 2 ? own : 0
    isPretended = true
    guard rank < ranks else { return nil }
  }

  /// Of the variables that launchers set: Open MPI's, or those of MPICH and of Slurm's PMI.
  /// `PTO2_RANKS=off` says that each process is by itself.
  package init(environment: (String) -> String?) throws(ConfigurationError) {
    if let choice = environment("PTO2_RANKS") {
      guard ["off", "on", ""].contains(choice) else {
        throw ConfigurationError(variable: "PTO2_RANKS", value: choice, range: "on or off")
      }
      if choice == "off" { return }
    }
    for (rank, ranks) in [
      ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"),
    ] {
      guard let rankText = environment(rank), let ranksText = environment(ranks) else { continue }
      guard let count = UInt32(ranksText), (1...UInt32(PTO2_MAX_RANKS)).contains(count) else {
        throw ConfigurationError(
          variable: ranks, value: ranksText,
          range: "1 to \(PTO2_MAX_RANKS) ranks. PTO2_RANKS=off runs each by itself")
      }
      guard let own = UInt32(rankText), own < count else {
        throw ConfigurationError(variable: rank, value: rankText, range: "0 to \(count - 1)")
      }
      self.rank = own
      self.ranks = count
      return
    }
  }
}
