import PTO2Protocol
import PTO2Segment
import PTO2Sight

/// Pictures made by hand.
enum Sample {
  static let configuration = Configuration(
    rings: Array(
      repeating: Configuration.Ring(
        taskWindow: 1024, consumedWindow: 4096, heapBytes: 1 << 20, dependencyPool: 4096),
      count: 4), clusters: 4)

  /// A core with a worker.
  static func core(_ index: Int, activity: ProcessFacts? = nil) -> CorePicture {
    var core = CorePicture(CoreID(index))
    core.process = activity ?? ProcessFacts(pid: Int32(2000 + index))
    core.isServed = true
    core.kernels = UInt64(100 * index)
    core.cpu = index % 2
    return core
  }

  static func lane(
    _ index: UInt32, _ task: TaskID, _ kernel: String, isRunning: Bool, toggle: Bool = true
  ) -> LanePicture {
    let word = DispatchWord(
      descriptorOffset: UInt64(task.local % 1024) * 64, slot: 1, toggle: toggle)!
    var lane = LanePicture(
      index: index, word: word, condition: isRunning ? .ack(word) : .notTaken(word))
    lane.position = 10 + index
    lane.task = task
    lane.kernel = kernel
    return lane
  }

  static func ring(_ index: Int, current: UInt32, released: UInt32, consumed: UInt32)
    -> RingPicture
  {
    var ring = RingPicture(index: index, sizes: configuration.rings[index])
    ring.current = current
    ring.wired = current
    ring.released = released
    ring.consumed = consumed
    ring.heapUsed = UInt64(current &- consumed) * 64
    ring.poolUsed = (current &- released) * 2
    ring.payloadUsed = 0
    return ring
  }

  /// A session with something of everything.
  static var picture: Picture {
    var picture = Picture(
      place: "demo", session: SessionFacts(configuration: configuration, totalBytes: 1 << 30))
    picture.time = 10_000_000_000
    picture.orchestrator.process = ProcessFacts(pid: 1000)
    picture.orchestrator.wait = .released(ring: 1)
    picture.orchestrator.target = 5000
    picture.scheduler.process = ProcessFacts(pid: 1001)
    picture.scheduler.counts.failed = 1
    picture.scheduler.counts.lost = 3
    picture.rings = [
      ring(0, current: 12, released: 10, consumed: 8),
      ring(1, current: 5024, released: 4000, consumed: 3000),
      ring(2, current: 123_456, released: 123_400, consumed: 120_000),
      ring(3, current: 0, released: 0, consumed: 0),
    ]
    picture.cores = (0..<12).map { core($0) }
    picture.cores[0].lanes = [
      lane(0, TaskID(ring: 1, local: 4000), "matmul_tile", isRunning: true),
      lane(1, TaskID(ring: 1, local: 4001), "matmul_tile", isRunning: false),
    ]
    picture.cores[1].lanes = [lane(0, TaskID(ring: 2, local: 123_400), "softmax", isRunning: true)]
    picture.cores[2].lanes = [lane(0, TaskID(ring: 1, local: 4002), "add", isRunning: false)]
    picture.cores[2].parked = .gate(core: 0, lane: 0)
    picture.cores[4].process = ProcessFacts(pid: 2004, activity: .stopped)
    picture.cores[5].process = ProcessFacts(pid: 2005, activity: .gone)
    picture.cores[6].process = nil
    picture.cores[7].lanes = [
      lane(3, TaskID(ring: 0, local: 11), "kérnel_with_a_long_name_of_47_bytes", isRunning: true)
    ]
    picture.rings[1].tasks = [
      running(TaskID(ring: 1, local: 4000), "matmul_tile"),
      running(TaskID(ring: 1, local: 4001), "matmul_tile"),
      running(TaskID(ring: 1, local: 4002), "add"),
    ]
    return picture
  }

  static func running(_ id: TaskID, _ kernel: String) -> TaskPicture {
    var task = TaskPicture(id: id, stage: .at(.running))
    task.subtasks = [.init(slot: 1, kernel: kernel)]
    return task
  }

  static var view: TopView {
    var view = TopView(picture: picture, diagnosis: diagnose(picture), tasksPerSecond: 45_678.9)
    view.waitSeconds = 3.21
    view.diagnosis.verdict = .progress
    view.diagnosis.cause = .progress
    view.uses = (0..<12).map { _ in TopView.Use(busy: 0) }
    view.uses[0] = TopView.Use(busy: 1, seconds: 12.34)
    view.uses[1] = TopView.Use(busy: 0.5, seconds: 0.04)
    view.uses[7] = TopView.Use(busy: 0.951, seconds: 1234.5)
    return view
  }
}
