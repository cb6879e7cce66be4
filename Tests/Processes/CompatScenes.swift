/// One program for each family of the original's scenes.
enum CompatScenes {
  static let all = [
    vector, bgemm, paged, mixed, dummy, predicated, spmd, syncStart, scalarData, manualScope,
    ringRebase, fanIn, starvation, rounds, views, filled,
  ]

  /// Numbers without a pattern, from -1 to 1, exact in few bits.
  static func numbers(_ count: Int, seed: UInt32) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(Int32(state >> 20) - 2048) / 2048
    }
  }

  static let vector: CompatScene = {
    let (a, b) = (numbers(1000, seed: 1), numbers(1000, seed: 2))
    return CompatScene(
      name: "vector", kernels: ["0:aiv:combine", "1:aiv:affine"],
      arguments: [.input(a, "1000"), .input(b, "1000"), .output("float32 1000")]
    ) { values in
      let expected = zip(a, b).map { ($0 + $1 + 1) * ($0 + $1 + 2) + ($0 + $1) }
      return CompatScene.difference(values[2].floats, expected, tolerance: 1e-6)
    }
  }()

  static let bgemm: CompatScene = {
    let (m, k, n) = (32, 48, 16)
    let (a, b) = (numbers(m * k, seed: 3), numbers(k * n, seed: 4))
    return CompatScene(
      name: "bgemm", kernels: ["0:aic:gemm"], options: ["--clusters", "2"],
      arguments: [
        .input(a, "\(m)x\(k)"), .input(b, "\(k)x\(n)"), .output("float32 \(m)x\(n)"),
        .word("uint32:16"),
      ]
    ) { values in
      let expected = (0..<m * n).map { index -> Float in
        let (i, j) = (index / n, index % n)
        return Float((0..<k).reduce(0) { $0 + Double(a[i * k + $1]) * Double(b[$1 * n + j]) })
      }
      return CompatScene.difference(values[2].floats, expected, tolerance: 1e-4)
    }
  }()

  static let paged: CompatScene = {
    let (batch, heads, size, length, blocks) = (3, 4, 16, 8, 12)
    let q = numbers(batch * heads * size, seed: 5)
    let k = numbers(blocks * length * size, seed: 6)
    let v = numbers(blocks * length * size, seed: 7)
    let table: [Int32] = [7, 2, 9, 0, 4, 11, 1, 8, 3, 10, 5, 6]
    let lengths: [Int32] = [25, 1, 32]
    return CompatScene(
      name: "paged",
      kernels: ["0:aic:scores", "1:aiv:softmax", "2:aic:gemm", "3:aiv:update"],
      options: ["--clusters", "2"],
      arguments: [
        .input(q, "\(batch)x\(heads)x\(size)"), .input(k, "\(blocks)x\(length)x1x\(size)"),
        .input(v, "\(blocks)x\(length)x1x\(size)"), .integers(table, "\(batch)x4"),
        .integers(lengths, "\(batch)"), .output("float32 \(batch)x\(heads)x\(size)"),
        .word("float32:0.25"),
      ]
    ) { values in
      var expected: [Float] = []
      for b in 0..<batch {
        let rows = (0..<Int(lengths[b])).map {
          Int(table[b * 4 + $0 / length]) * length + $0 % length
        }
        for h in 0..<heads {
          let scores = rows.map { row in
            0.25
              * (0..<size).reduce(0.0) {
                $0 + Double(q[(b * heads + h) * size + $1]) * Double(k[row * size + $1])
              }
          }
          let weights = scores.map { exponential($0) }
          let sum = weights.reduce(0, +)
          for e in 0..<size {
            let value = zip(rows, weights).reduce(0.0) { $0 + $1.1 * Double(v[$1.0 * size + e]) }
            expected.append(Float(value / sum))
          }
        }
      }
      return CompatScene.difference(values[5].floats, expected, tolerance: 1e-5)
    }
  }()

  static let mixed: CompatScene = {
    let x = numbers(20, seed: 8)
    return CompatScene(
      name: "mixed", kernels: ["0:aiv:half", "1:aiv:change", "2:aic:nothing"],
      arguments: [.input(x, "2x10"), .output("float32 2x10")]
    ) { CompatScene.difference($0[1].floats, x.map { -2 * $0 + 1 }) }
  }()

  static let dummy: CompatScene = {
    let x = numbers(8, seed: 9)
    return CompatScene(
      name: "dummy", kernels: ["0:aiv:change"], options: ["--clusters", "2"],
      arguments: [.changed(x, "8")]
    ) { CompatScene.difference($0[0].floats, x.map { 2 * $0 + 3 }) }
  }()

  static let predicated: CompatScene = {
    let gates: [Int32] = [-2, -3, 7]
    let reals: [Float] = [-1, 2]
    let x = numbers(12, seed: 10)
    return CompatScene(
      name: "predicated", kernels: ["0:aiv:change"], options: ["--clusters", "2"],
      arguments: [.integers(gates, "3"), .changed(reals, "2"), .changed(x, "12")]
    ) { values in
      let written: [Float] = [-1, 5]
      let holds: [@Sendable (Int64, Int64) -> Bool] = [(==), (!=), (>), (<), (>=), (<=)]
      var expected = x
      for op in 1...6 {
        let whole = Int64(gates[op % 3])
        if holds[op - 1](whole, -2) { expected[op - 1] = 3 * x[op - 1] + 1 }
        let bits = Int64(Int32(bitPattern: written[op % 2].bitPattern))
        if holds[op - 1](bits, 0x40A0_0000) { expected[op + 5] = 3 * x[op + 5] + 1 }
      }
      return CompatScene.difference(values[2].floats, expected)
    }
  }()

  static let spmd = CompatScene(
    name: "spmd", kernels: ["0:aiv:place"], options: ["--clusters", "2"],
    arguments: [.output("int32 24"), .output("int32 10"), .output("int32 2")]
  ) { values in
    var both: [Int32] = []
    for block in Int32(0)..<5 { both += [5000 + 10 * block, 5000 + 10 * block + 1] }
    // Which vector core a block of one vector kernel runs on is not said: 0 for the task.
    let single = values[0].integers
    for block in 0..<12 {
      let pair = [single[2 * block], single[2 * block + 1]]
      let expected = Int32(12000 + 10 * block)
      if pair != [expected, 0] { return "block \(block): \(pair)" }
    }
    return CompatScene.difference(values[1].integers, both)
      ?? CompatScene.difference(values[2].integers, [1000, 0])
  }

  static let syncStart = CompatScene(
    name: "sync_start", kernels: ["0:aiv:meet"], options: ["--clusters", "2"],
    arguments: [.output("int32 10"), .output("int32 10x4")]
  ) { CompatScene.difference($0[1].integers, Array(repeating: 4, count: 40)) }

  static let scalarData = CompatScene(
    name: "scalar_data", kernels: ["0:aiv:bits", "1:aiv:change"],
    arguments: [
      .changed([1, 2, 3, 4], "4"), .output("uint64 8"), .word("uint64:0xFEDCBA9876543210"),
    ]
  ) { values in
    let first: Float = 3 * 155 - 2
    return CompatScene.difference(values[0].floats, [first, first + 1, 7, 10])
      ?? CompatScene.difference(
        values[1].read(UInt64.self),
        [
          0x3FC0_0000, 0xFFFF_FFFE, UInt64(bitPattern: -3), 3, 1, UInt64.max, 0xFFFF_FFFF,
          0xFEDC_BA98_7654_3210,
        ])
  }

  static let manualScope: CompatScene = {
    let x = numbers(40, seed: 11)
    return CompatScene(
      name: "manual_scope", kernels: ["0:aiv:change"], options: ["--clusters", "3"],
      arguments: [.changed(x, "4x10")]
    ) { values in
      let expected = x.enumerated().map { index, start -> Float in
        let row = Float(index / 10)
        return -(0..<3).reduce(start) { 2 * $0 + Float($1) + row }
      }
      return CompatScene.difference(values[0].floats, expected, tolerance: 1e-6)
    }
  }()

  static let ringRebase: CompatScene = {
    let x = (0..<256).map { Float($0) }
    return CompatScene(
      name: "ring_rebase", kernels: ["0:aiv:affine"],
      options: ["--heap", "8K", "--task-window", "8", "--clusters", "2"],
      arguments: [.changed(x, "256"), .word("300")]
    ) { CompatScene.difference($0[0].floats, x.map { $0 + 300 }) }
  }()

  static let fanIn: CompatScene = {
    let x: [Float] = [1, -3, 5, 7]
    return CompatScene(
      name: "fan_in", kernels: ["0:aiv:affine", "1:aiv:sum"], options: ["--clusters", "2"],
      arguments: [.input(x, "4"), .output("float32 1")]
    ) { values in
      var total: Float = 0
      for offset in 0..<124 { total += 10 + 4 * Float(offset) }
      return CompatScene.difference(values[1].floats, [total])
    }
  }()

  static let starvation = CompatScene(
    name: "starvation", kernels: ["0:aiv:change"],
    options: ["--clusters", "2", "--task-window", "32", "--lanes", "2"],
    arguments: [.output("float32 1"), .output("float32 64")]
  ) { values in
    // 2000 tasks over 64 elements, in turn.
    var counts = [Float](repeating: 31, count: 64)
    for index in 0..<16 { counts[index] = 32 }
    return CompatScene.difference(values[0].floats, [200])
      ?? CompatScene.difference(values[1].floats, counts)
  }

  static let rounds: CompatScene = {
    let x = numbers(100, seed: 12)
    return CompatScene(
      name: "rounds", kernels: ["0:aiv:affine"],
      arguments: [.changed(x, "100"), .word("--rounds=5")]
    ) { CompatScene.difference($0[0].floats, x.map { 2 * $0 + 1 }) }
  }()

  static let filled = CompatScene(
    name: "filled", kernels: ["0:aiv:change", "1:aiv:affine"], options: ["--clusters", "2"],
    arguments: [.output("float32 200x10")]
  ) { values in
    let expected = (0..<2000).map { 2 * Float($0 / 10) + 1 }
    return CompatScene.difference(values[0].floats, expected)
  }

  static let views: CompatScene = {
    let x = numbers(48, seed: 13)
    return CompatScene(
      name: "views", kernels: ["0:aiv:affine", "1:aiv:change"],
      arguments: [
        .input(x, "6x8"), .output("float32 8x6"), .output("float32 3x4"), .output("int32 48"),
        .output("float32 1"),
      ]
    ) { values in
      var turned: [Float] = []
      var second: [Float] = []
      for column in 0..<8 { for row in 0..<6 { turned.append(x[row * 8 + column]) } }
      for row in 0..<3 { for column in 0..<4 { second.append(x[row * 16 + 1 + column * 2]) } }
      return CompatScene.difference(values[1].floats, turned)
        ?? CompatScene.difference(values[2].floats, second)
        ?? CompatScene.difference(values[3].integers, x.map { Int32(bitPattern: $0.bitPattern) })
        ?? CompatScene.difference(values[4].floats, [4 + 2 + 0.5])
    }
  }()
}
