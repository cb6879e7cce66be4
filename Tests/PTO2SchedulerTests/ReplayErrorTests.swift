import PTO2Protocol
import Testing

@testable import PTO2Orchestrator

/// Every misuse of a recording and of a replay is error 5, before anything is submitted.
@Suite struct ReplayErrorTests {
  private func expect(
    _ words: String, location: SourceLocation = #_sourceLocation, tasks: UInt32? = nil,
    in rig: Rig, _ misuse: () throws -> Void
  ) {
    let before = rig.submitted(ring: 0)
    let error = #expect(throws: PTO2Error.self, sourceLocation: location) { try misuse() }
    #expect(error?.code == .invalidArgs, sourceLocation: location)
    #expect(error?.message.contains(words) == true, "\(error!)", sourceLocation: location)
    #expect(rig.submitted(ring: 0) - before == tasks ?? 0, sourceLocation: location)
  }

  @Test func whatIsNoTaskCannotBeRecorded() throws {
    let misuses: [(String, (Rig, Tensor<Float>) throws -> Void)] = [
      ("a scope in a recording", { rig, _ in try rig.graph.scope {} }),
      ("the end of a scope in a recording", { rig, _ in try rig.graph.endScope() }),
      ("a wait in a recording", { rig, _ in try rig.graph.wait() }),
      ("a look at an element", { rig, x in _ = try rig.graph.element(of: x, at: [0]) }),
      ("a look at an element", { rig, x in try rig.graph.setElement(of: x, at: [0], to: 1) }),
      ("a look at a tensor", { rig, x in _ = try rig.graph.array(x) }),
      ("a look at a tensor", { rig, x in try rig.graph.write(x) { $0.fill(with: 1) } }),
      ("a tensor that is freed", { rig, x in try rig.graph.free(x) }),
      (
        "a kept output in a recording",
        { rig, _ in
          _ = try rig.submit(aic: true) { _ = $0.keptOutput(of: Float.self, [4]) }
        }
      ),
      ("a filled tensor", { rig, _ in _ = try rig.graph.filled([4], with: Float(1)) }),
      ("a recording in a recording", { rig, _ in _ = try rig.graph.record { _ in } }),
    ]
    for (words, misuse) in misuses {
      let rig = try Rig(configuration())
      let x = try rig.external(8)
      expect(words, in: rig) { _ = try rig.graph.record { _ in try misuse(rig, x) } }
    }
  }

  @Test func replayInARecording() throws {
    let rig = try Rig(configuration())
    let template = try rig.graph.record { _ in try rig.submit(aic: true) }
    expect("a replay in a recording", in: rig) {
      _ = try rig.graph.record { _ in try rig.graph.replay(template) }
    }
  }

  @Test func dependencyOnATaskFromBefore() throws {
    for isRetained in [false, true] {
      let rig = try Rig(configuration())
      let before = try rig.submit(aic: true)
      expect("from before the recording", in: rig) {
        _ = try rig.graph.record { _ in
          try rig.submit(aic: true) {
            if isRetained { $0.retain(before) } else { $0.after(before) }
          }
        }
      }
    }
  }

  @Test func holesThatOverlapAndTensorsThatReachBeyondThem() throws {
    var rig = try Rig(configuration())
    var x = try rig.external(16)
    expect("tensors 0 and 1 have elements in common", in: rig) {
      let half = try x.slice(from: [8], shape: [8])
      _ = try rig.graph.record(tensors: [AnyTensor(x), AnyTensor(half)]) { _ in }
    }
    rig = try Rig(configuration())
    x = try rig.external(16)
    expect("argument 0 of task 1 has elements in common with tensor 0", tasks: 2, in: rig) {
      let half = try x.slice(from: [8], shape: [8])
      _ = try rig.graph.record(tensors: [AnyTensor(half)]) { _ in
        try rig.submit(aic: true) { $0.input(half) }
        try rig.submit(aic: true) { $0.input(x) }
      }
    }
  }

  @Test func scalarHolesThatAreNotThere() throws {
    var rig = try Rig(configuration())
    expect("of a task that is not recorded", in: rig) {
      try rig.submit(aic: true) { $0.scalar(hole: 0) }
    }
    for hole in [1, -1] {
      rig = try Rig(configuration())
      expect("scalar hole \(hole): the recording has 1", in: rig) {
        _ = try rig.graph.record(scalars: [7]) { _ in
          try rig.submit(aic: true) { $0.scalar(hole: hole) }
        }
      }
    }
  }

  @Test func outputsThatAreNone() throws {
    let rig = try Rig(configuration())
    let x = try rig.external(16)
    expect("output 0, [16], was not put out by a recorded task", tasks: 1, in: rig) {
      _ = try rig.graph.record { outputs in
        try rig.submit(aic: true) { $0.input(x) }
        outputs = [AnyTensor(x)]
      }
    }
  }

  @Test func tensorsAndScalarsThatDoNotFit() throws {
    let misuses: [(String, (Rig, TaskTemplate) throws -> Void)] = [
      (
        "replay with 0 tensors and 1 scalars: the template has holes for 1 and 1",
        { rig, template in try rig.graph.replay(template, scalars: [1]) }
      ),
      (
        "replay with 1 tensors and 2 scalars",
        { rig, template in
          try rig.graph.replay(
            template, tensors: [AnyTensor(try rig.external(16))], scalars: [1, 2])
        }
      ),
      (
        "tensor 0 is [15] of float32 with strides [1], recorded was [16] of float32",
        { rig, template in
          try rig.graph.replay(
            template, tensors: [AnyTensor(try rig.external(15))], scalars: [1])
        }
      ),
      (
        "tensor 0 is [16] of float32 with strides [2]",
        { rig, template in
          let wide = try rig.external(32).slice(from: [0], shape: [16], steps: [2])
          try rig.graph.replay(template, tensors: [AnyTensor(wide)], scalars: [1])
        }
      ),
      (
        "tensor 0 is [16] of int32",
        { rig, template in
          let other = try rig.graph.externalTensor(of: .int32, [16])
          try rig.graph.replay(template, tensors: [other], scalars: [1])
        }
      ),
      (
        "has no memory: its scope has ended",
        { rig, template in
          try rig.graph.beginScope()
          var output: Tensor<Float>?
          try rig.submit(aic: true) { output = $0.output(of: Float.self, [16]) }
          try rig.graph.endScope()
          try rig.graph.replay(template, tensors: [AnyTensor(output!)], scalars: [1])
        }
      ),
    ]
    for (words, misuse) in misuses {
      let rig = try Rig(configuration(rings: 2))
      let x = try rig.external(16)
      let template = try rig.graph.record(tensors: [AnyTensor(x)], scalars: [1]) { _ in
        try rig.submit(aic: true) {
          $0.input(x)
          $0.scalar(hole: 0)
        }
      }
      expect(words, in: rig) { try misuse(rig, template) }
    }
  }

  @Test func placesWhereNothingIsRecordedOrReplayed() throws {
    var rig = try Rig(configuration())
    expect("record in a manual scope", in: rig) {
      try rig.graph.scope(.manual) { _ = try rig.graph.record { _ in } }
    }
    rig = try Rig(configuration())
    var template = try rig.graph.record { _ in }
    expect("replay in a manual scope", in: rig) {
      try rig.graph.scope(.manual) { () throws -> Void in try rig.graph.replay(template) }
    }
    rig = try Rig(configuration())
    expect("that another session has recorded", in: rig) { try rig.graph.replay(template) }
    rig = try Rig(configuration())
    template = try rig.graph.record { _ in }
    let inner = rig
    expect("replay inside the closure of a submit", tasks: 1, in: rig) {
      var error: (any Error)?
      try inner.submit(aic: true) { _ in
        do { try inner.graph.replay(template) } catch let found { error = found }
      }
      if let error { throw error }
    }
    rig = try Rig(configuration())
    expect("the end of a recording that was not begun", in: rig) {
      _ = try rig.graph.orchestrator.pointee.endRecording(outputs: [])
    }
  }

  @Test func tensorsWithoutAHoleThatAreGone() throws {
    let rig = try Rig(configuration(rings: 2))
    try rig.graph.beginScope()
    var output: Tensor<Float>?
    try rig.submit(aic: true) { output = $0.output(of: Float.self, [16]) }
    let template = try rig.graph.record { _ in try rig.submit(aic: true) { $0.input(output!) } }
    try rig.graph.replay(template)
    try rig.graph.endScope()
    expect("is not a hole and is gone", in: rig) { try rig.graph.replay(template) }
  }

  /// A closure that fails leaves its tasks, and no recording.
  @Test func closureThatThrows() throws {
    struct Mine: Error {}
    let rig = try Rig(configuration(rings: 2))
    let error = #expect(throws: PTO2Error.self) {
      _ = try rig.graph.record { _ in
        try rig.submit(aic: true)
        throw Mine()
      }
    }
    #expect(error?.underlying is Mine)
    _ = try rig.graph.scope { try rig.submit(aic: true) }
    rig.runAll()
    #expect(rig.submitted(ring: 0) == 1 && rig.finished.count == 2)
  }
}
