internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// What has changed between looks at a session.
struct Movement {
  let earlier: [Picture]
  let now: Picture
  /// Seconds since the first look.
  let seconds: Double

  init(from earlier: [Picture], to now: Picture) {
    self.earlier = earlier
    self.now = now
    seconds = earlier.first.map { Double(now.time &- $0.time) / 1e9 } ?? 0
  }

  /// There was one look alone.
  var isUnknown: Bool { earlier.isEmpty }

  /// A session in which something has moved.
  var progress: Diagnosis? {
    guard let first = earlier.first else { return nil }
    let submitted = tasks(now, \.current) &- tasks(first, \.current)
    let released = tasks(now, \.released) &- tasks(first, \.released)
    // The count of a worker that was started again begins anew.
    let kernels = zip(now.cores, first.cores).reduce(UInt64(0)) {
      $0 &+ ($1.0.kernels >= $1.1.kernels ? $1.0.kernels - $1.1.kernels : $1.0.kernels)
    }
    let words = zip(now.cores, first.cores).contains { a, b in
      zip(a.lanes, b.lanes).contains { $0.word != $1.word || $0.condition != $1.condition }
    }
    guard submitted != 0 || released != 0 || kernels != 0 || words || now.log != first.log
    else { return nil }
    var diagnosis = Diagnosis(
      verdict: .progress, cause: .progress,
      summary:
        "\(submitted) tasks submitted, \(released) released, \(kernels) kernels ended in \(fixed(seconds, 1)) s"
    )
    if let wait = Blockage(now) { diagnosis.chain = [wait.sentence + " That is back-pressure."] }
    return diagnosis
  }

  private func tasks(_ picture: Picture, _ position: KeyPath<RingPicture, UInt32>) -> UInt64 {
    let first = picture.session.configuration.firstPosition
    return picture.rings.reduce(0) { $0 &+ UInt64($1[keyPath: position] &- first) }
  }

  /// For how long a core has had this dispatch acknowledged, at least.
  func running(core: Int, lane: LanePicture) -> Double {
    for picture in earlier where picture.cores.indices.contains(core) {
      let lanes = picture.cores[core].lanes
      guard lanes.indices.contains(Int(lane.index)) else { continue }
      let old = lanes[Int(lane.index)]
      if old.word == lane.word && old.condition == lane.condition && old.position == lane.position {
        return Double(now.time &- picture.time) / 1e9
      }
    }
    return 0
  }

  /// Of the time between the first look and now, how much CPU time a process has used;
  /// nil when that is not known.
  func load(_ process: KeyPath<Picture, ProcessFacts?>) -> Double? {
    guard let first = earlier.first, seconds > 0.05, let before = first[keyPath: process],
      let after = now[keyPath: process], before.pid == after.pid, after.activity == .running
    else { return nil }
    return min(1000, Double(after.ticks &- before.ticks) / 100 / seconds)
  }

  func load(core: Int) -> Double? {
    guard let first = earlier.first, first.cores.indices.contains(core) else { return nil }
    return load(\.cores[core].process)
  }
}
