internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// The link of one rank, and the other ranks: transfers are over in any order, at any time.
final class PlayedLink {
  private let segment: Segment
  private let page: LinkPage<OwnedWord>
  private let plan: Plan
  private let checks: Checks
  private var random: SplitMix64
  private var sleeper = Sleeper()
  private var seen: UInt32 = 0
  /// What it has, by number of the task.
  private var out: [(task: Int, id: TaskID)] = []

  init(_ segment: consuming Segment, _ scenario: Scenario, _ checks: Checks) {
    page = segment.ownLinkPage
    self.segment = segment
    plan = scenario.plan
    self.checks = checks
    random = SplitMix64(seed: UInt64(scenario.plan.tasks.count))
  }

  func run() {
    while segment.orchestratorPage.control.loadAcquire() == PTO2_CONTROL_RUNNING,
      // It is the orchestrator's child.
      Engine.shared.timeOfDeath(Session.orchestratorPid) == nil
    {
      readStarts()
      if out.isEmpty {
        park()
      } else if random.chance(1, in: 2) {
        end(at: random.below(out.count))
      } else {
        yieldProcessor()
      }
    }
  }

  private func readStarts() {
    let count = segment.schedulerPage.transfersStarted.loadAcquire()
    while seen != count {
      let start = segment.transferStarts[seen].content
      seen &+= 1
      let id = TaskID(rawValue: start.task_id)
      guard let task = number(id) else {
        return Engine.shared.fail("each task once", "the link is given \(id), which is no transfer")
      }
      checks.transfer(ends: false, task: task)
      if start.outcome == 0 { checkSent(task, id) }
      out.append((task, id))
    }
  }

  /// The transfer's number is that of its task.
  private func number(_ id: TaskID) -> Int? {
    let slot = segment.mainRing(id.ring)[id.local]
    guard slot.taskID == id, slot.flags.contains(.transfer), let payload = segment.payload(id)
    else { return nil }
    let words = unsafe payload.arguments(of: segment.descriptors(id.ring)[id.local])
    return Int(unsafe words[slot.tensorCount + 1])
  }

  private func elements(_ id: TaskID) -> UnsafeMutableBufferPointer<UInt32> {
    let tensor = segment.payload(id)!.tensor(0)
    return unsafe UnsafeMutableBufferPointer(
      start: segment.bytes.address(tensor.offset)!.assumingMemoryBound(to: UInt32.self),
      count: Int(tensor.element_count))
  }

  private func checkSent(_ task: Int, _ id: TaskID) {
    guard plan.tasks[task].transfer == .send, !checks.hasCrashed else { return }
    let found = unsafe Array(elements(id))
    if found != plan.tasks[task].sent {
      Engine.shared.fail(
        "the interpreter's result",
        "transfer \(task) sends \(found), expected \(plan.tasks[task].sent)")
    }
  }

  private func end(at place: Int) {
    let (task, id) = out.remove(at: place)
    if plan.tasks[task].transfer == .receive {
      let elements = unsafe elements(id)
      for place in 0..<elements.count {
        unsafe elements[place] = plan.tasks[task].received(place)
      }
    }
    checks.transfer(ends: true, task: task)
    let position = page.ended.loadOwn()
    segment.ownTransferEnds[position].store(
      pto2_transfer_end(task_id: id.rawValue, outcome: 0, reserved: 0))
    page.ended.storeRelease(position &+ 1)
    Publisher.fence()
    if Publisher(to: segment.schedulerPage.parked, bits: 1).isAsleep {
      Futex.wake(page.ended.shared)
    }
  }

  private func park() {
    sleeper.announce(1, in: page.parked)
    sleeper.watch(segment.schedulerPage.transfersStarted, while: seen)
    sleeper.watch(segment.orchestratorPage.control, while: PTO2_CONTROL_RUNNING)
    _ = sleeper.sleep(timeoutNanoseconds: 100_000_000)
    sleeper.withdraw(from: page.parked)
  }
}
