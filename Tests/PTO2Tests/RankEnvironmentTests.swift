import Testing

@testable import PTO2

/// Which rank a process is, by what launchers and `--pretend-ranks` say.
@Suite struct RankEnvironmentTests {
  private func place(_ variables: [String: String]) throws -> RankEnvironment {
    try RankEnvironment { variables[$0] }
  }

  @Test func launchersAreUnderstood() throws {
    for (rank, ranks) in [
      ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"),
    ] {
      let last = try place([rank: "255", ranks: "256"])
      #expect(last.rank == 255 && last.ranks == 256 && !last.isPretended)
      #expect(throws: (any Error).self) { try place([rank: "0", ranks: "257"]) }
      #expect(throws: (any Error).self) { try place([rank: "2", ranks: "2"]) }
      #expect(throws: (any Error).self) { try place([rank: "-1", ranks: "2"]) }
      let off = try place([rank: "1", ranks: "2", "PTO2_RANKS": "off"])
      #expect(off.rank == 0 && off.ranks == 1)
    }
    #expect(try place([:]) == RankEnvironment())
  }

  @Test func pretendedRanksAreCountedAndNamed() {
    let first = RankEnvironment(pretended: "256")
    #expect(first?.rank == 0 && first?.ranks == 256 && first?.isPretended == true)
    #expect(RankEnvironment(pretended: "256:255")?.rank == 255)
    for text in ["257", "256:256", "1", "0", "", ":", "2:", ":1", "2:1:0", "x"] {
      #expect(RankEnvironment(pretended: text) == nil, "\(text)")
    }
  }
}
