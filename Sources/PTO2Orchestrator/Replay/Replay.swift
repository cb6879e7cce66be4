internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2System
internal import Synchronization

/// What a replay works with: empty between two.
struct ReplayState: ~Copyable {
  private static let sessions = Atomic<UInt64>(0)
  /// A number for this orchestrator, that no other one of this process has.
  let session = ReplayState.sessions.add(1, ordering: .relaxed).newValue

  /// The template's roots as they are in this replay.
  var roots = PlainArray<ReplayRoot>(capacity: 64)
  /// Who has used the views of `TemplateBoundary.probes` so far: pieces of `users`.
  var found = PlainArray<Piece>(capacity: 64)
  var users = PlainArray<(task: TaskOrdinal, kind: TensorMap.Dependency)>(capacity: 64)
  /// Views that must be disjoint where one is written.
  var views = PlainArray<(view: StagedArgument, isHole: Bool, next: Int32)>(capacity: 16)
  /// By buffer, the last of `views`; -1 for none.
  var lastViews = PlainArray<Int32>(capacity: 1024)
}

/// A root in a replay.
struct ReplayRoot: BitwiseCopyable {
  /// Place in the buffer table; `Buffer.none` for an output without one.
  var buffer = Buffer.none
  /// Bytes from the buffer's start, and from the segment base.
  var offset: UInt64 = 0
  var base: UInt64 = 0
  var owner = TaskOrdinal.none
  var isKept = false
}

extension Orchestrator {
  /// Submits the tasks of a template.
  /// - Parameters:
  ///   - outputs: what the template returns is appended here.
  /// - Returns: the id of the first task; the others follow it.
  package mutating func replay(
    _ template: TaskTemplate, tensors: [AnyTensor], scalars: [UInt64],
    outputs: inout [AnyTensor]
  ) throws(PTO2Error) -> TaskID {
    try fault.check()
    try refuseInRecording("a replay")
    do throws(PTO2Error) {
      try checkReplayIsPossible("replay")
      try check(template, tensors, scalars)
      findRoots(template.boundary, tensors)
      let first = nextTaskID
      // Fresh watermarks keep fanin lists and the TensorMap small.
      refreshAll()
      courtesy.offer()
      if areDisjoint(template.boundary, tensors) && hasMapRoom(template.boundary) {
        try submitAtOnce(template.tasks, template.boundary, scalars)
      } else {
        try submitOneByOne(template.tasks, template.boundary, scalars)
      }
      for output in template.tasks.outputs {
        var tensor = output
        tensor.buffer = replaying.roots[output.buffer].buffer
        tensor.generation = buffers[tensor.buffer].generation
        outputs.append(tensor)
      }
      return first
    } catch { throw fault.raise(error) }
  }

  // MARK: Before anything is submitted

  private func check(
    _ template: TaskTemplate, _ tensors: [AnyTensor], _ scalars: [UInt64]
  ) throws(PTO2Error) {
    guard template.session == replaying.session else {
      throw PTO2Error(
        .invalidArgs,
        "replay of a template that another session has recorded, or this one before it failed")
    }
    guard tensors.count == template.tensorCount, scalars.count == template.scalarCount else {
      throw PTO2Error(
        .invalidArgs,
        "replay with \(tensors.count) tensors and \(scalars.count) scalars: the template has holes for \(template.tensorCount) and \(template.scalarCount)"
      )
    }
    for index in 0..<tensors.count {
      try checkHole(tensors[index], index)
      let recorded = template.boundary.holes[index].tensor
      guard tensors[index].hasLayout(of: recorded) else {
        throw PTO2Error(
          .invalidArgs,
          "replay: tensor \(index) is \(tensors[index].layout), recorded was \(recorded.layout)")
      }
    }
    for fixed in template.boundary.fixed {
      let buffer = buffers.placed(fixed.buffer, fixed.generation)
      guard let buffer, buffer.isOfProgram || scopes.isOpen(buffer.scope) else {
        throw PTO2Error(
          .invalidArgs,
          "replay: the template uses a tensor that is not a hole and is gone: its scope or its run has ended. Make a hole of it"
        )
      }
    }
  }

  private mutating func findRoots(
    _ boundary: borrowing TemplateBoundary, _ tensors: [AnyTensor]
  ) {
    replaying.roots.removeAll()
    func append(_ place: UInt32, _ offset: UInt64) {
      let buffer = buffers[place]
      replaying.roots.append(
        ReplayRoot(
          buffer: place, offset: offset, base: buffer.offset &+ offset, owner: buffer.owner,
          isKept: buffer.isKept))
    }
    for tensor in tensors { append(tensor.buffer, tensor.offset) }
    for fixed in boundary.fixed { append(fixed.buffer, 0) }
  }

  /// No tensor given overlaps another one, or one that the template uses without a hole,
  /// unless both are only read. They did not when the tasks were recorded, so who depends
  /// on whom may differ.
  private mutating func areDisjoint(
    _ boundary: borrowing TemplateBoundary, _ tensors: [AnyTensor]
  ) -> Bool {
    if !boundary.hasWrites { return true }
    replaying.views.removeAll()
    for index in 0..<tensors.count where boundary.holes[index].isUsed {
      let access: Access = boundary.holes[index].isWritten ? .inout : .input
      replaying.views.append((StagedArgument(tensors[index], access), true, -1))
    }
    for index in 0..<boundary.fixedViews.count {
      var view = boundary.fixedViews[index]
      view.buffer = replaying.roots[view.buffer].buffer
      replaying.views.append((view, false, -1))
    }
    while replaying.lastViews.count < buffers.count { replaying.lastViews.append(-1) }
    var areDisjoint = true
    for index in 0..<replaying.views.count where areDisjoint {
      areDisjoint = !replaying.overlapsEarlier(index)
    }
    for index in 0..<replaying.views.count {
      replaying.lastViews[replaying.views[index].view.buffer] = -1
    }
    return areDisjoint
  }

  /// The TensorMap cannot come to its limit by what the template enters. Each entry makes
  /// three records at most, and gaps between records are not more than these.
  private mutating func hasMapRoom(_ boundary: borrowing TemplateBoundary) -> Bool {
    func isEnough(_ count: Int) -> Bool {
      2 * (count + 3 * boundary.entries.count) < map.limit
    }
    if isEnough(map.count) { return true }
    sweepMap()
    return isEnough(map.count)
  }
}

extension ReplayState {
  /// A view has an element in common with an earlier one, and they are not both read, nor
  /// both used without a hole: those are to each other what they were.
  fileprivate mutating func overlapsEarlier(_ index: Int) -> Bool {
    let (view, isHole, _) = views[index]
    var other = lastViews[view.buffer]
    views[index].next = other
    lastViews[view.buffer] = Int32(index)
    while other >= 0 {
      let (earlier, isOther, next) = views[Int(other)]
      if isHole || isOther, view.access.isWrite || earlier.access.isWrite {
        if view.offset < earlier.end && earlier.offset < view.end && view.box.meets(earlier.box) {
          return true
        }
      }
      other = next
    }
    return false
  }
}

extension AnyTensor {
  /// Another tensor can take its place: shape, element type and strides are the same.
  fileprivate func hasLayout(of other: AnyTensor) -> Bool {
    shape == other.shape && dataType == other.dataType
      && (0..<shape.rank).allSatisfy {
        shape[$0] == 1 || stride($0) == other.stride($0)
      }
  }

  /// For messages.
  fileprivate var layout: String {
    "\(shape) of \(dataType) with strides \((0..<shape.rank).map { stride($0) })"
  }
}
