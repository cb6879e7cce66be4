import Glibc
import PTO2

/// A blocked Cholesky decomposition in Swift: cholesky [TILES [SIZE]]
/// docs/cholesky.md has it beside the same in C, C++ and Python.
@main
struct Cholesky {
  let tiles: Int
  let size: Int
  var n: Int { tiles * size }

  static func main() {
    let numbers = CommandLine.arguments.dropFirst().map { Int($0) ?? 0 }
    let problem = Cholesky(
      tiles: numbers.first ?? 16, size: numbers.count > 1 ? numbers[1] : 64)
    guard (1...1000).contains(problem.tiles), (1...1000).contains(problem.size) else {
      end("usage: cholesky [TILES [SIZE]], each 1 to 1000", 64)
    }
    do { try problem.run() } catch { end("cholesky: \(error)", 1) }
  }

  static func end(_ message: String, _ status: Int32) -> Never {
    let text = Array((message + "\n").utf8)
    write(STDERR_FILENO, text, text.count)
    exit(status)
  }

  func run() throws {
    var configuration = Configuration()
    configuration.clusters = 2
    let session = try Session(configuration, images: ["CholeskyKernels"])
    var error: Float = 0
    var checksum: UInt64 = 0
    var isFirst = true
    let report = try session.run { graph in
      let a = try graph.externalTensor(of: Float.self, Shape(n, n))
      try graph.write(a) { a in
        for i in 0..<n { for j in 0..<n { a[i * n + j] = element(i, j) } }
      }
      try decompose(a, graph)

      let expected = reference()
      try graph.read(a) { l in
        for i in 0..<n {
          for j in 0...i {
            let here = abs(l[i * n + j] - Float(expected[i * n + j]))
            // True for what is not a number, too.
            if !(here <= 1e-4) { try graph.fail("L differs from the reference") }
            error = max(error, here)
            checksum = checksum &* 31 &+ UInt64(l[i * n + j].bitPattern)
          }
        }
      }
      isFirst = graph.rank == 0
    }
    // Under mpirun one of the ranks says it.
    guard isFirst else { return }
    let counts = "\(tiles) x \(tiles) tiles of \(size): \(report.tasks) tasks"
    print("\(counts), verified, largest error \(error), checksum \(checksum)")
  }

  /// Decomposes a matrix in place, tile by tile. Under mpirun the tiles are dealt to the ranks
  /// in turn along rows and columns, and a task runs where the tile is that it changes.
  func decompose(_ a: Tensor<Float>, _ graph: Graph) throws {
    let potrf = try graph.kernel("cholesky_potrf")
    let trsm = try graph.kernel("cholesky_trsm")
    let gemm = try graph.kernel("cholesky_gemm")
    let syrk = try graph.kernel("cholesky_syrk")
    func tile(_ i: Int, _ j: Int) throws -> Tensor<Float> {
      try a.slice(from: [i * size, j * size], shape: Shape(size, size))
    }
    func owner(_ i: Int, _ j: Int) -> Int { (2 * i + j) % graph.ranks }
    for k in 0..<tiles {
      let diagonal = try tile(k, k)
      try graph.submit(aiv: potrf) { task in
        task.run(on: owner(k, k))
        task.inout(diagonal)
      }
      for i in k + 1..<max(tiles, k + 1) {
        let below = try tile(i, k)
        try graph.submit(aiv: trsm) { task in
          task.run(on: owner(i, k))
          task.input(diagonal)
          task.inout(below)
        }
      }
      for i in k + 1..<max(tiles, k + 1) {
        let left = try tile(i, k)
        for j in k + 1..<i {
          let (right, changed) = (try tile(j, k), try tile(i, j))
          try graph.submit(aic: gemm) { task in
            task.run(on: owner(i, j))
            task.input(left)
            task.input(right)
            task.inout(changed)
          }
        }
        let changed = try tile(i, i)
        try graph.submit(aic: syrk) { task in
          task.run(on: owner(i, i))
          task.input(left)
          task.inout(changed)
        }
      }
    }
  }

  /// Symmetric, positive definite.
  func element(_ i: Int, _ j: Int) -> Float { (i == j ? Float(n) : 0) + 1 / Float(1 + abs(i - j)) }

  /// L by the definition, element by element, in double.
  func reference() -> [Double] {
    var l = [Double](repeating: 0, count: n * n)
    for i in 0..<n {
      for j in 0...i {
        var sum = Double(element(i, j))
        for k in 0..<j { sum -= l[i * n + k] * l[j * n + k] }
        l[i * n + j] = i == j ? sum.squareRoot() : sum / l[j * n + j]
      }
    }
    return l
  }
}
