import PTO2
import PTO2CommandLine

/// ((a + b) + 1) * ((a + b) + 2), tile by tile: four vector tasks a tile.
@main
struct VectorExample: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vector-example",
    abstract: "Computes ((a+b)+1)*((a+b)+2) on vector cores and checks every element.",
    discussion: """
      Examples:
        vector-example
        vector-example --elements 1000000 --tile 4096 --clusters 2
      """)

  @Option(help: "Elements of each vector.")
  var elements = 1 << 20

  @Option(help: "Elements a task works on.")
  var tile = 16384

  @OptionGroup var runtime: RuntimeOptions

  func validate() throws {
    guard elements > 0, tile > 0 else {
      throw ValidationError("--elements and --tile: expected numbers above 0")
    }
  }

  func run() throws {
    try runtime.run("vector-example", images: ["VectorKernels"]) { graph in
      let add = try graph.kernel("vec_add")
      let addScalar = try graph.kernel("vec_add_scalar")
      let multiply = try graph.kernel("vec_mul")

      let a = try graph.externalTensor(of: Float.self, Shape(elements))
      let b = try graph.externalTensor(of: Float.self, Shape(elements))
      let result = try graph.externalTensor(of: Float.self, Shape(elements))
      try graph.write(a, b) { a, b in
        for i in a.indices {
          a[i] = Float(i % 1000) * 0.5
          b[i] = Float(i % 777) * 0.25
        }
      }

      for begin in stride(from: 0, to: elements, by: tile) {
        let shape = Shape(min(tile, elements - begin))
        let aTile = try a.slice(from: [begin], shape: shape)
        let bTile = try b.slice(from: [begin], shape: shape)
        let resultTile = try result.slice(from: [begin], shape: shape)
        // Under mpirun the tiles are on the ranks in turn.
        let rank = begin / tile % graph.ranks
        try graph.scope(on: rank) {
          let sum = try graph.submit(aiv: add) { task in
            task.input(aTile)
            task.input(bTile)
            return task.output(of: Float.self, shape)
          }
          let plusOne = try graph.submit(aiv: addScalar) { task in
            task.input(sum)
            let out = task.output(of: Float.self, shape)
            task.scalar(Float(1))
            return out
          }
          let plusTwo = try graph.submit(aiv: addScalar) { task in
            task.input(sum)
            let out = task.output(of: Float.self, shape)
            task.scalar(Float(2))
            return out
          }
          try graph.submit(aiv: multiply) { task in
            task.run(on: rank)
            task.input(plusOne)
            task.input(plusTwo)
            task.inout(resultTile)
          }
        }
        graph.progress("submitted", Double(begin) / Double(elements))
      }

      var worst: Float = 0
      try graph.read(result) { result in
        for i in result.indices {
          let sum = Float(i % 1000) * 0.5 + Float(i % 777) * 0.25
          worst = max(worst, abs(result[i] - (sum + 1) * (sum + 2)))
        }
      }
      graph.report("maximum error", "\(worst)")
      guard worst == 0 else { try graph.fail("the result is wrong by up to \(worst)") }
    }
  }
}
