import PTO2
import PagedAttentionReference

/// Decode attention over a paged key/value cache, checked against a reference
/// in double that shares no code with the kernels.
@main
struct PagedAttention: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "paged-attention",
    abstract: "Runs a paged-attention case on matrix and vector cores and checks the result.",
    discussion: """
      Per group of cache blocks: QK product (AIC), softmax-prepare (AIV), PV product (AIC),
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

      let summary = try tensors.check(graph, workload)
      graph.report(
        "maximum error",
        "\(summary.maxAbsolute) against double, \(summary.count) values, tolerance \(tolerance)")
      guard summary.isWithin(tolerance) else {
        throw graph.fail(
          "the result differs from the reference by up to \(summary.maxAbsolute), \(summary.nonFinite) values are not finite"
        )
      }
      graph.report("result", "verified")
    }
  }

  /// One accumulator set per sequence and key/value head; the four tasks of a
  /// group follow each other, different sequences are independent.
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
        let query = try t.query.slice([b, kvHead * rows, 0], Shape(1, rows, c.headDim))
          .reshape(tileShape)
        let out = try t.out.slice([b, kvHead * rows, 0], Shape(1, rows, c.headDim))
          .reshape(tileShape)
        try graph.scope {
          let (acc, m, l) = try graph.submit(aiv: initialise) { task in
            (
              task.output(tileShape, .float32), task.output(rowShape, .float32),
              task.output(rowShape, .float32)
            )
          }
          for first in stride(from: 0, to: blocks, by: group) {
            let count = min(group, blocks - first)
            let valid = min(c.contextLengths[b] - first * c.blockSize, count * c.blockSize)
            let isLast = first + count == blocks
            let table = try t.blockTable.slice([b, first], Shape(1, count)).reshape(Shape(count))
            let scoreShape = Shape(rows, count * c.blockSize)
            try graph.scope {
              let scores = try graph.submit(aic: qk) { task in
                task.input(query)
                task.input(t.keyCache)
                task.input(table)
                let scores = task.output(scoreShape, .float32)
                task.scalar(kvHead)
                task.scalar(valid)
                return scores
              }
              let (p, mNew, lNew) = try graph.submit(aiv: softmax) { task in
                task.input(scores)
                let outputs = (
                  task.output(scoreShape, .float32), task.output(rowShape, .float32),
                  task.output(rowShape, .float32)
                )
                task.scalar(valid)
                task.scalar(c.scale)
                return outputs
              }
              let partial = try graph.submit(aic: pv) { task in
                task.input(p)
                task.input(t.valueCache)
                task.input(table)
                let partial = task.output(tileShape, .float32)
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
                if recovery == .snapshot { task.recovery(.snapshot) }
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
  let query: Tensor
  let keyCache: Tensor
  let valueCache: Tensor
  let blockTable: Tensor
  let out: Tensor

  init(_ graph: Graph, _ c: PagedAttentionCase) throws {
    let cache = Shape(c.totalBlocks, c.blockSize, c.kvHeads, c.headDim)
    query = try graph.external(Shape(c.batch, c.heads, c.headDim), .bfloat16)
    keyCache = try graph.external(cache, .bfloat16)
    valueCache = try graph.external(cache, .bfloat16)
    blockTable = try graph.external(Shape(c.batch, c.maxBlocks), .int32)
    out = try graph.external(Shape(c.batch, c.heads, c.headDim), .float32)
    graph.progress("making the inputs", 0)
    try graph.write(query, as: UInt16.self) { c.fillQuery(&$0) }
    try graph.write(keyCache, as: UInt16.self) { c.fillKeyCache(&$0) }
    try graph.write(valueCache, as: UInt16.self) { c.fillValueCache(&$0) }
    try graph.write(blockTable, as: Int32.self) { c.fillBlockTable(&$0) }
  }

  /// Compares every value with the reference, sequence by sequence.
  func check(_ graph: Graph, _ c: PagedAttentionCase) throws -> ErrorSummary {
    var summary = ErrorSummary()
    let perSequence = c.heads * c.headDim
    var expected = [Double](repeating: 0, count: perSequence)
    try graph.read(query, as: UInt16.self) { query in
      try graph.read(keyCache, as: UInt16.self) { keys in
        try graph.read(valueCache, as: UInt16.self) { values in
          try graph.read(blockTable, as: Int32.self) { table in
            try graph.read(out, as: Float.self) { out in
              for b in 0..<c.batch {
                var target = expected.mutableSpan
                attentionReference(
                  c, query: query, keyCache: keys, valueCache: values, blockTable: table,
                  sequence: b, into: &target)
                summary.merge(
                  compare(
                    out.extracting(b * perSequence..<(b + 1) * perSequence), with: expected.span),
                  offset: b * perSequence)
                graph.progress(
                  "checking sequence \(b + 1) of \(c.batch)", Double(b + 1) / Double(c.batch))
              }
            }
          }
        }
      }
    }
    return summary
  }
}
