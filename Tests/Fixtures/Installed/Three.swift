import PTO2

/// Three graphs in one session, the second of which fails; a package of its own that
/// depends on an installed pto2.
@main struct Three {
  static func main() throws {
    let session = try Session(images: [CommandLine.arguments[1]])
    for round in 0..<3 {
      do {
        let report = try session.run { graph in try build(graph, round) }
        print("  \(report.tasks) tasks, \(report.kernels) kernels")
      } catch {
        print("graph \(round): \(error)")
      }
    }
  }

  /// y = 2 + (4 + 2 * round), in halves.
  static func build(_ graph: Graph, _ round: Int) throws {
    let saxpy = try graph.kernel("saxpy")
    let x = try graph.externalTensor(of: Float.self, [1000])
    let y = try graph.externalTensor(of: Float.self, [1000])
    try graph.write(x, y) { x, y in
      x.fill(with: 2)
      y.fill(with: Float(4 + 2 * round))
    }
    for begin in [0, 500] {
      let from = try x.slice(from: [begin], shape: [500])
      let to = try y.slice(from: [begin], shape: [500])
      try graph.submit(aiv: saxpy) { task in
        task.input(from)
        task.inout(to)
        task.scalar(Float(1))
        if round == 1 { for _ in 0..<16 { task.scalar(0) } }  // one too many
      }
    }
    print("graph \(round): \(try graph.array(y)[999])")
  }
}
