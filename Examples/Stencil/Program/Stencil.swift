import PTO2
import PTO2CommandLine

/// The heat equation on a plate in blocks of rows, on as many ranks as mpirun starts: a step of
/// a block needs a row of each neighbour, and that is all that moves.
@main
struct Stencil: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stencil",
    abstract: "Steps of the heat equation, in blocks of rows, checked against a plain loop.",
    discussion: """
      Under mpirun the blocks are spread over the ranks, and neighbours send each other their \
      outermost rows. The result is the same to the last bit on any number of ranks.

      Examples:
        stencil
        mpirun -n 2 stencil --steps 200 --rows 512
      """)

  @Option(help: "Rows of the plate.")
  var rows = 256

  @Option(help: "Columns of the plate, the first and last of which keep their heat.")
  var columns = 512

  @Option(help: "Blocks of rows; one task a block and step.")
  var blocks = 8

  @Option(help: "Steps.")
  var steps = 50

  @OptionGroup var runtime: RuntimeOptions

  func validate() throws {
    guard columns >= 2, blocks >= 1, rows >= blocks, steps >= 0 else {
      throw ValidationError(
        "expected 2 columns, a block, a row a block and 0 steps at least, got \(columns), \(blocks), \(rows) and \(steps)"
      )
    }
  }

  func run() throws {
    try runtime.run("stencil", images: ["StencilKernels"]) { graph in
      let step = try graph.kernel("heat_step")
      let firsts = (0...blocks).map { $0 * rows / blocks }
      let cold = try graph.externalTensor(of: Float.self, Shape(columns))

      // Two plates in turn; block b lives on its rank.
      var plates: [[Tensor<Float>]] = []
      for _ in 0..<2 {
        plates.append(
          try (0..<blocks).map { block in
            try graph.externalTensor(
              of: Float.self, Shape(firsts[block + 1] - firsts[block], columns),
              on: block * graph.ranks / blocks)
          })
      }
      for block in 0..<blocks {
        try graph.write(plates[0][block]) { heat in
          for i in heat.indices { heat[i] = Self.heat(firsts[block] + i / columns, i % columns) }
        }
      }

      for number in 0..<steps {
        let (from, to) = (plates[number % 2], plates[1 - number % 2])
        for block in 0..<blocks {
          let above = block == 0 ? cold : try row(from[block - 1], last: true)
          let below = block == blocks - 1 ? cold : try row(from[block + 1], last: false)
          try graph.submit(aiv: step) { task in
            task.input(above)
            task.input(from[block])
            task.input(below)
            task.overwrite(to[block])
          }
        }
        graph.progress("submitted", Double(number) / Double(steps))
      }

      let expected = reference()
      var differing = 0
      for block in 0..<blocks {
        try graph.read(plates[steps % 2][block]) { heat in
          for i in heat.indices where heat[i] != expected[firsts[block] * columns + i] {
            differing += 1
          }
        }
      }
      graph.report("result", differing == 0 ? "verified" : "WRONG")
      guard differing == 0 else { try graph.fail("\(differing) elements are wrong") }
    }
  }

  /// The heat at first.
  static func heat(_ row: Int, _ column: Int) -> Float { Float((row * 31 + column * 17) % 100) }

  private func row(_ block: Tensor<Float>, last: Bool) throws -> Tensor<Float> {
    let number = last ? Int(block.shape[0]) - 1 : 0
    return try block.slice(from: [number, 0], shape: Shape(1, columns))
      .reshaped(to: Shape(columns))
  }

  private func reference() -> [Float] {
    var heat = (0..<rows * columns).map { Self.heat($0 / columns, $0 % columns) }
    var next = heat
    for _ in 0..<steps {
      for row in 0..<rows {
        for column in 1..<columns - 1 {
          let place = row * columns + column
          let up = row == 0 ? 0 : heat[place - columns]
          let down = row == rows - 1 ? 0 : heat[place + columns]
          next[place] = ((up + down) + (heat[place - 1] + heat[place + 1])) * 0.25
        }
        (next[row * columns], next[row * columns + columns - 1]) =
          (heat[row * columns], heat[row * columns + columns - 1])
      }
      swap(&heat, &next)
    }
    return heat
  }
}
