internal import PTO2Protocol
internal import PTO2Segment
package import PTO2System

/// What `pto2 top` shows at one time.
package struct TopView: Equatable, Sendable {
  /// What is known of a core by looking often.
  package struct Use: Equatable, Sendable {
    /// Of the looks since the last view, the share at which a kernel ran; nil without looks.
    package var busy: Double?
    /// For how long it has had the dispatch that it runs, at least, in seconds.
    package var seconds: Double?
    package init(busy: Double? = nil, seconds: Double? = nil) {
      self.busy = busy
      self.seconds = seconds
    }
  }

  package var picture: Picture
  package var diagnosis: Diagnosis
  /// By core.
  package var uses: [Use]
  /// Since the last view; nil in the first.
  package var tasksPerSecond: Double?
  /// For how long the program has been seen to wait for the same, at least; nil while it does not.
  package var waitSeconds: Double?

  package init(
    picture: Picture, diagnosis: Diagnosis, uses: [Use] = [], tasksPerSecond: Double? = nil
  ) {
    self.picture = picture
    self.diagnosis = diagnosis
    self.uses = uses
    self.tasksPerSecond = tasksPerSecond
  }

  func use(_ core: Int) -> Use { uses.indices.contains(core) ? uses[core] : Use() }

  package var released: UInt64 { picture.tasks(\.released) }

  package var json: JSONObject {
    var object = Inspection(picture).json
    object.add("tasks_per_second", tasksPerSecond)
    object.add("waiting_seconds", waitSeconds)
    object.add("verdict", diagnosis.verdict.rawValue)
    object.add("summary", diagnosis.summary)
    object.add(
      "use",
      uses.indices.map { core in
        var entry = JSONObject()
        entry.add("core", "\(CoreID(core))")
        entry.add("busy", uses[core].busy)
        entry.add("seconds", uses[core].seconds)
        return entry
      })
    return object
  }
}

extension Picture {
  /// Over all rings, since the session began.
  package func tasks(_ position: KeyPath<RingPicture, UInt32>) -> UInt64 {
    let first = session.configuration.firstPosition
    return rings.reduce(0) { $0 &+ ($1.isDamaged ? 0 : UInt64($1[keyPath: position] &- first)) }
  }
}

/// What is remembered from view to view.
package struct TopHistory {
  /// A dispatch, and since when a core has been seen with it.
  private struct Running: Equatable {
    var word: DispatchWord
    var position: UInt32
    var lane: UInt32
  }

  /// A word that the program sleeps on, and up to which position.
  private struct Waiting: Equatable {
    var wait: OrchestratorFacts.Wait
    var target: UInt32
  }

  private var waiting: (what: Waiting, time: UInt64)?
  private var since: [(running: Running, time: UInt64)?] = []
  private var looks = 0
  private var busy: [Int] = []
  private var last: Picture?

  package init() {}

  /// One look more.
  package mutating func note(_ cores: [CorePicture], at time: UInt64) {
    if since.count != cores.count {
      since = Array(repeating: nil, count: cores.count)
      busy = Array(repeating: 0, count: cores.count)
    }
    looks += 1
    for (index, core) in cores.enumerated() {
      guard let lane = core.running else {
        since[index] = nil
        continue
      }
      busy[index] += 1
      let running = Running(word: lane.word, position: lane.position, lane: lane.index)
      if since[index]?.running != running { since[index] = (running, time) }
    }
  }

  /// The next view; the looks begin anew.
  package mutating func view(_ picture: Picture) -> TopView {
    var view = TopView(
      picture: picture, diagnosis: diagnose(picture, since: last.map { [$0] } ?? []))
    // What is dead takes no time.
    guard picture.session.isAttached else { return view }
    note(picture.cores, at: picture.time)
    view.uses = picture.cores.indices.map { core in
      TopView.Use(
        busy: looks > 1 ? Double(busy[core]) / Double(looks) : nil,
        seconds: since[core].map { Double(picture.time &- $0.time) / 1e9 })
    }
    let now = picture.orchestrator.wait.map {
      Waiting(wait: $0, target: picture.orchestrator.target)
    }
    if now != waiting?.what { waiting = now.map { ($0, picture.time) } }
    view.waitSeconds = waiting.map { Double(picture.time &- $0.time) / 1e9 }
    if let last, picture.time > last.time {
      let seconds = Double(picture.time - last.time) / 1e9
      view.tasksPerSecond =
        Double(Int64(bitPattern: picture.tasks(\.released) &- last.tasks(\.released))) / seconds
    }
    last = picture
    looks = 0
    busy = Array(repeating: 0, count: picture.cores.count)
    return view
  }
}
