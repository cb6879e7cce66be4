import PTO2
import PTO2CommandLine
import PagedAttentionReference

/// Decode attention over a paged key/value cache, checked against a reference
/// in double that shares no code with the kernels.
@main
struct PagedAttention: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "paged-attention",
    abstract: "Runs a paged-attention case on matrix and vector cores and checks the result.",
    discussion: """
      Per group of cache blocks: QK product (AIC), softmax-prepare (AIV), PV product (AIC), \
      online update (AIV); one more AIV task per sequence sets the accumulators up.

        paged-attention                       # the case of `make run`
        paged-attention --case small-b4
        paged-attention --list
        PTO2_RING_TASK_WINDOW=64 PTO2_RING_HEAP=4M PTO2_RING_DEP_POOL=256 paged-attention --case ring
      """)

  @Option(name: .customLong("case"), help: "Which case to run; see --list.")
  var caseName = "demo"

  @Option(help: ArgumentHelp("Cache blocks that a task works on.", valueName: "n"))
  var group = 1

  @Option(help: ArgumentHelp("Largest error allowed against the reference.", valueName: "x"))
  var tolerance = 1e-3

  @Option(
    help: ArgumentHelp(
      "What the online updates, which change their accumulators in place, ask for in case their worker dies: none or snapshot.",
      valueName: "how"))
  var recovery = RecoveryChoice.none

  @Flag(help: "Print the cases and their sizes.")
  var list = false

  @OptionGroup var runtime: RuntimeOptions

  func validate() throws {
    guard group > 0 else { throw ValidationError("--group \(group): expected 1 or more") }
    guard PagedAttentionCase.named(caseName) != nil else {
      let names = PagedAttentionCase.all.map(\.name).joined(separator: ", ")
      throw ValidationError("--case \(caseName): expected one of \(names)")
    }
  }

  func run() throws {
    if list { return printCases() }
    let workload = PagedAttentionCase.named(caseName)!
    try runtime.run("paged-attention", images: ["PagedAttentionKernels"]) { graph in
      graph.report("case", describe(workload))
      let tensors = try AttentionTensors(graph, workload)
      try submit(graph, workload, tensors)
      graph.progress("waiting for the last tasks", 1)
      try graph.wait()

      let (summary, checksum) = try tensors.check(graph, workload)
      graph.report(
        "maximum error",
        "\(summary.maxAbsolute) against double, \(summary.count) values, tolerance \(tolerance)")
      guard summary.isWithin(tolerance) else {
        try graph.fail(
          "the result differs from the reference by up to \(summary.maxAbsolute), \(summary.nonFinite) values are not finite"
        )
      }
      graph.report("result", "verified")
      graph.report("checksum", "\(checksum)")
    }
  }

  /// One accumulator set per sequence and key/value head; the four tasks of a
  /// group follow each other, different sequences are independent: under mpirun each rank has
  /// as many of them.
  private func submit(_ graph: Graph, _ c: PagedAttentionCase, _ t: AttentionTensors) throws {
    let initialise = try graph.kernel("pa_init")
    let qk = try graph.kernel("pa_qk")
    let softmax = try graph.kernel("pa_softmax")
    let pv = try graph.kernel("pa_pv")
    let update = try graph.kernel("pa_update")
    let rows = c.groupHeads
    let rowShape = Shape(rows)
    let tileShape = Shape(rows, c.headDim)

    for b in 0..<c.batch {
      let blocks = c.blockCount(ofSequence: b)
      for kvHead in 0..<c.kvHeads {
        let query = try t.query.slice(
          from: [b, kvHead * rows, 0], shape: Shape(1, rows, c.headDim)
        )
        .reshaped(to: tileShape)
        let out = try t.out.slice(from: [b, kvHead * rows, 0], shape: Shape(1, rows, c.headDim))
          .reshaped(to: tileShape)
        try graph.scope(on: b % graph.ranks) {
          let (acc, m, l) = try graph.submit(aiv: initialise) { task in
            (
              task.output(of: Float.self, tileShape), task.output(of: Float.self, rowShape),
              task.output(of: Float.self, rowShape)
            )
          }
          for first in stride(from: 0, to: blocks, by: group) {
            let count = min(group, blocks - first)
            let valid = min(c.contextLengths[b] - first * c.blockSize, count * c.blockSize)
            let isLast = first + count == blocks
            let table = try t.blockTable.slice(from: [b, first], shape: Shape(1, count))
              .reshaped(to: Shape(count))
            let scoreShape = Shape(rows, count * c.blockSize)
            try graph.scope {
              let scores = try graph.submit(aic: qk) { task in
                task.input(query)
                task.input(t.keyCache)
                task.input(table)
                let scores = task.output(of: Float.self, scoreShape)
                task.scalar(kvHead)
                task.scalar(valid)
                return scores
              }
              let (p, mNew, lNew) = try graph.submit(aiv: softmax) { task in
                task.input(scores)
                let outputs = (
                  task.output(of: Float.self, scoreShape), task.output(of: Float.self, rowShape),
                  task.output(of: Float.self, rowShape)
                )
                task.scalar(valid)
                task.scalar(c.scale)
                return outputs
              }
              let partial = try graph.submit(aic: pv) { task in
                task.input(p)
                task.input(t.valueCache)
                task.input(table)
                let partial = task.output(of: Float.self, tileShape)
                task.scalar(kvHead)
                task.scalar(valid)
                return partial
              }
              try graph.submit(aiv: update) { task in
                task.input(partial)
                task.input(mNew)
                task.input(lNew)
                task.inout(acc)
                task.inout(m)
                task.inout(l)
                task.inout(out)
                task.scalar(isLast ? 1 : 0)
                if recovery == .snapshot { task.recovery = .snapshot }
              }
            }
          }
        }
      }
      graph.progress("sequence \(b + 1) of \(c.batch) submitted", Double(b + 1) / Double(c.batch))
    }
  }

  private func describe(_ c: PagedAttentionCase) -> String {
    let longest = c.contextLengths.max() ?? 0
    return
      "\(c.name): \(c.batch) sequences of up to \(longest) tokens, \(c.heads) heads, \(c.kvHeads) kv heads, head_dim \(c.headDim), blocks of \(c.blockSize)"
  }

  private func printCases() {
    for c in PagedAttentionCase.all {
      print("\(describe(c)); inputs \(c.inputBytes >> 20) MiB, \(c.operations / 1_000_000) MFLOP")
    }
  }
}

enum RecoveryChoice: String, ExpressibleByArgument, CaseIterable {
  case none, snapshot
}

/// The program's tensors, inputs filled from the case's seed.
struct AttentionTensors {
  let query: Tensor<BFloat16>
  let keyCache: Tensor<BFloat16>
  let valueCache: Tensor<BFloat16>
  let blockTable: Tensor<Int32>
  let out: Tensor<Float>

  init(_ graph: Graph, _ c: PagedAttentionCase) throws {
    let cache = Shape(c.totalBlocks, c.blockSize, c.kvHeads, c.headDim)
    query = try graph.externalTensor(of: BFloat16.self, Shape(c.batch, c.heads, c.headDim))
    keyCache = try graph.externalTensor(of: BFloat16.self, cache)
    valueCache = try graph.externalTensor(of: BFloat16.self, cache)
    blockTable = try graph.externalTensor(of: Int32.self, Shape(c.batch, c.maxBlocks))
    out = try graph.externalTensor(of: Float.self, Shape(c.batch, c.heads, c.headDim))
    graph.progress("making the inputs", 0)
    try graph.write(query, keyCache, valueCache, blockTable) { query, keys, values, table in
      var query = query.bitPatterns.mutableSpan
      var keys = keys.bitPatterns.mutableSpan
      var values = values.bitPatterns.mutableSpan
      var table = table.mutableSpan
      c.fillQuery(&query)
      c.fillKeyCache(&keys)
      c.fillValueCache(&values)
      c.fillBlockTable(&table)
    }
  }

  /// Compares every value with the reference, sequence by sequence; and adds up their bits.
  func check(_ graph: Graph, _ c: PagedAttentionCase) throws -> (ErrorSummary, UInt64) {
    var checksum: UInt64 = 0
    var summary = ErrorSummary()
    let perSequence = c.heads * c.headDim
    var expected = [Double](repeating: 0, count: perSequence)
    try graph.read(query, keyCache, valueCache, blockTable, out) {
      query, keys, values, table, out in
      for b in 0..<c.batch {
        var target = expected.mutableSpan
        attentionReference(
          c, query: query.bitPatterns.span, keyCache: keys.bitPatterns.span,
          valueCache: values.bitPatterns.span, blockTable: table.span, sequence: b, into: &target)
        let found = out.span.extracting(b * perSequence..<(b + 1) * perSequence)
        for i in found.indices { checksum = checksum &* 31 &+ UInt64(found[i].bitPattern) }
        summary.merge(compare(found, with: expected.span), offset: b * perSequence)
        graph.progress("checking sequence \(b + 1) of \(c.batch)", Double(b + 1) / Double(c.batch))
      }
    }
    return (summary, checksum)
  }
}
