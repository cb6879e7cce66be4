import BenchSupport
import CBenchRaw
import PTO2
import PTO2System

/// What a task on another rank costs this one, which sees every submission of the program: it
/// is remembered who has the bytes. The other ranks are made up.
struct Unrolling {
  /// Microseconds a task, by kind.
  struct Line {
    var ranks: Int
    var times: [Double]
  }

  enum Kind: String, CaseIterable {
    /// Placed by `run(on:)`.
    case noTensors = "no tensors"
    /// Each changes one tile.
    case oneTile = "one tile"
    /// Each reads three tiles of the row before, and changes one of its own.
    case stencil = "three and one"
  }

  static let ranks = [2, 4, 8, 16, 32, 64, 128, 256]
  var tasks: Int
  var lines: [Line] = []

  static func measure(tasks: Int, repeats: Int) throws -> Unrolling {
    var result = Unrolling(tasks: tasks)
    for ranks in Self.ranks {
      let rounds = try (0..<repeats).map { _ in
        try Kind.allCases.map { try time($0, ranks: ranks, tasks) }
      }
      result.lines.append(
        Line(
          ranks: ranks, times: Kind.allCases.indices.map { kind in median(rounds.map { $0[kind] }) }
        ))
    }
    return result
  }

  /// Tiles of a rank.
  private static let share = 4

  private static func time(_ kind: Kind, ranks: Int, _ tasks: Int) throws -> Double {
    let session = try Session(
      Configuration(), images: ["BenchKernels"], observer: nil,
      pretended: RankEnvironment(pretended: "\(ranks)"))
    defer { session.close() }
    var seconds = 0.0
    let report = try session.run { graph in
      let kernel = try graph.kernel("empty_aiv")
      // None is at home here, on rank 0.
      let width = share * (ranks - 1)
      let homes = (0..<width).map { 1 + $0 / share }
      let rows = try (0..<2).map { _ in
        try homes.map { try graph.externalTensor(of: Float.self, Shape(16), on: $0) }
      }
      func submit() throws {
        for task in 0..<tasks {
          let point = task % width
          let (before, own) = (rows[task / width % 2], rows[1 - task / width % 2][point])
          try graph.submit(aiv: kernel) { arguments in
            switch kind {
            case .noTensors: arguments.run(on: homes[point])
            case .oneTile: arguments.inout(own)
            case .stencil:
              for input in max(0, point - 1)...min(width - 1, point + 1) {
                arguments.input(before[input])
              }
              arguments.inout(own)
            }
          }
        }
      }
      // Once so that all memory has been used.
      try submit()
      let begin = bench_nanoseconds()
      try submit()
      seconds = Double(bench_nanoseconds() - begin) / 1e3 / Double(tasks)
    }
    guard report.tasks == 0 else {
      throw BenchError("\(report.tasks) of \(2 * tasks) tasks of other ranks were run here")
    }
    return seconds
  }

  // MARK: Output

  var text: String {
    var table = TextTable(
      [.init("ranks", .right)] + Kind.allCases.map { .init($0.rawValue, .right) })
    for line in lines { table.add(["\(line.ranks)"] + line.times.map { fixed($0, 3) }) }
    return "A task on another rank, us (\(tasks) tasks, seen from rank 0, by the tiles it uses)\n"
      + table.text
  }

  /// Time a task over the ranks, a line a kind.
  func plot(to path: String) throws(SystemError) {
    let lines = Kind.allCases.indices.map { kind in
      Chart.Line(
        Kind.allCases[kind].rawValue, self.lines.map { (Double($0.ranks), $0.times[kind]) })
    }
    try Chart.write(
      [Chart("us that a task on another rank costs", "ranks", lines, isShare: false)], to: path)
  }

  var json: String {
    var document = JSONObject()
    document.add("tasks", tasks)
    document.add(
      "unrolling",
      lines.map { line in
        var object = JSONObject()
        object.add("ranks", line.ranks)
        for (kind, time) in zip(["no_tensors_us", "one_tile_us", "three_and_one_us"], line.times) {
          object.add(kind, time)
        }
        return object
      })
    return document.text + "\n"
  }
}
