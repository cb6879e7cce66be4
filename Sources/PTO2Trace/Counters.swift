internal import PTO2Protocol

/// What is counted over time.
enum TraceCounter: Hashable {
  /// Tasks that are READY and not dispatched.
  case ready
  /// Tasks of a ring that are not RELEASED; up to the watermark, those behind an elder one too.
  case window(ring: Int)
  case consumedWindow(ring: Int)
}

extension Trace {
  /// Rings that have tasks.
  package var usedRings: [Int] { Set(tasks.map(\.id.ring)).sorted() }

  /// The values of one over time.
  func eachCounter(_ wanted: TraceCounter, _ body: (UInt64, Int) -> Void) {
    let interval = max(1000, UInt64(span.count) / 20_000)
    let steps: [Step] =
      switch wanted {
      case .ready: readySteps()
      case .window(let ring): windowSteps(ring, \.released)
      case .consumedWindow(let ring): windowSteps(ring, \.consumed)
      }
    emit(wanted, steps, interval) { body($1, $2) }
  }

  /// Values over time, no more than 20,000 of each.
  func eachCounter(_ body: (TraceCounter, UInt64, Int) -> Void) {
    let span = self.span
    let interval = max(1000, UInt64(span.count) / 20_000)
    emit(.ready, readySteps(), interval, body)
    for ring in usedRings {
      emit(.window(ring: ring), windowSteps(ring, \.released), interval, body)
      emit(.consumedWindow(ring: ring), windowSteps(ring, \.consumed), interval, body)
    }
  }

  private typealias Step = (time: UInt64, change: Int)

  private func readySteps() -> [Step] {
    var steps: [Step] = []
    for task in tasks where task.ready != 0 {
      let end = task.dispatched != 0 ? task.dispatched : task.completed
      guard end > task.ready else { continue }
      steps.append((task.ready, 1))
      steps.append((end, -1))
    }
    return steps
  }

  /// Tasks between submission and the ring's watermark, which passes them in order.
  private func windowSteps(_ ring: Int, _ end: KeyPath<TraceTask, UInt64>) -> [Step] {
    var steps: [Step] = []
    var watermark: UInt64 = 0
    for task in tasks where task.id.ring == ring && task.submitted != 0 {
      steps.append((task.submitted, 1))
      if task[keyPath: end] == 0 || watermark == .max {
        watermark = .max
      } else {
        watermark = max(watermark, task[keyPath: end])
        steps.append((watermark, -1))
      }
    }
    return steps
  }

  private func emit(
    _ counter: TraceCounter, _ steps: [Step], _ interval: UInt64,
    _ body: (TraceCounter, UInt64, Int) -> Void
  ) {
    let steps = steps.sorted { ($0.time, $0.change) < ($1.time, $1.change) }
    var value = 0
    var last: UInt64 = 0
    for (index, step) in steps.enumerated() {
      value += step.change
      let isLast = index + 1 == steps.count || steps[index + 1].time >= last &+ interval
      if step.time >= last &+ interval || isLast {
        body(counter, step.time, max(0, value))
        last = step.time
      }
    }
  }
}
