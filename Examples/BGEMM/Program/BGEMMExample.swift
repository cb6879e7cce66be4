import PTO2
import PTO2CommandLine

/// C = A * B for a batch of tiled matrices: a matrix task per product of two
/// tiles, a vector task that adds it to the tile of C.
@main
struct BGEMMExample: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bgemm",
    abstract: "Batched tiled matrix product on matrix and vector cores, checked in double.",
    discussion: """
      Tasks: batch x grid^3 matrix tasks and as many vector tasks. With 128 x 128 tiles, \
      --batch 4 --grid 2 makes 64 tasks, --batch 2 --grid 5 makes 500.

        bgemm
        bgemm --batch 2 --grid 5 --clusters 2
      """)

  @Option(help: "Matrices in the batch.")
  var batch = 4

  @Option(help: "Tiles per side.")
  var grid = 2

  @Option(help: "Elements per side of a tile.")
  var tile = 128

  @OptionGroup var runtime: RuntimeOptions

  func validate() throws {
    guard batch > 0, grid > 0, tile > 0, batch * grid * grid * tile * tile < 1 << 31 else {
      throw ValidationError(
        "--batch, --grid, --tile: expected numbers above 0 and fewer than 2^31 elements")
    }
  }

  /// Small integers: every product and sum is exact in float.
  private func value(_ seed: Int, _ index: Int) -> Float {
    Float((index &* 2_654_435_761 &+ seed &* 40503) >> 7 & 7) - 3
  }

  func run() throws {
    try runtime.run("bgemm", images: ["BGEMMKernels"]) { graph in
      let gemm = try graph.kernel("gemm_tile")
      let tileAdd = try graph.kernel("tile_add")
      // Tile-major: [batch, row tile, column tile, row, column].
      let shape = Shape(batch, grid, grid, tile, tile)
      let a = try graph.externalTensor(of: Float.self, shape)
      let b = try graph.externalTensor(of: Float.self, shape)
      let c = try graph.externalTensor(of: Float.self, shape)
      try graph.write(a) { a in for i in a.indices { a[i] = value(1, i) } }
      try graph.write(b) { b in for i in b.indices { b[i] = value(2, i) } }

      func view(_ tensor: Tensor<Float>, _ n: Int, _ row: Int, _ column: Int) throws -> Tensor<
        Float
      > {
        try tensor.slice(from: [n, row, column, 0, 0], shape: Shape(1, 1, 1, tile, tile))
          .reshaped(to: Shape(tile, tile))
      }
      for n in 0..<batch {
        for row in 0..<grid {
          for column in 0..<grid {
            let target = try view(c, n, row, column)
            // Under mpirun a tile of C is on its rank, in turn.
            let rank = ((n * grid + row) * grid + column) % graph.ranks
            try graph.scope(on: rank) {
              for k in 0..<grid {
                let left = try view(a, n, row, k)
                let right = try view(b, n, k, column)
                let product = try graph.submit(aic: gemm) { task in
                  task.input(left)
                  task.input(right)
                  return task.output(of: Float.self, Shape(tile, tile))
                }
                try graph.submit(aiv: tileAdd) { task in
                  task.run(on: rank)
                  task.input(product)
                  task.inout(target)
                }
              }
            }
          }
        }
        graph.progress("submitted", Double(n) / Double(batch))
      }

      let worst = try check(graph, a, b, c)
      graph.report("maximum error", "\(worst)")
      guard worst == 0 else { try graph.fail("the result is wrong by up to \(worst)") }
    }
  }

  /// The largest error of c, against the product from the definition, in double.
  private func check(
    _ graph: Graph, _ a: Tensor<Float>, _ b: Tensor<Float>, _ c: Tensor<Float>
  ) throws -> Double {
    let area = tile * tile
    /// First element of row i of the tiles in column 0.
    func rowStart(_ n: Int, _ i: Int) -> Int {
      (n * grid + i / tile) * grid * area + i % tile * tile
    }
    let side = grid * tile
    return try graph.read(a, b, c) { a, b, c in
      var worst = 0.0
      var row = [Double](repeating: 0, count: side)
      for n in 0..<batch {
        for i in 0..<side {
          for j in 0..<side { row[j] = 0 }
          for k in 0..<side {
            let left = Double(a[rowStart(n, i) + k / tile * area + k % tile])
            for column in 0..<grid {
              let right = rowStart(n, k) + column * area
              for j in 0..<tile { row[column * tile + j] += left * Double(b[right + j]) }
            }
          }
          for column in 0..<grid {
            let result = rowStart(n, i) + column * area
            for j in 0..<tile {
              worst = max(worst, abs(row[column * tile + j] - Double(c[result + j])))
            }
          }
        }
      }
      return worst
    }
  }
}
