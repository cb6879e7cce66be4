import CPTO2Segment
import PTO2Protocol
import PTO2Segment

/// Cores that do in virtual time what a worker does (`Core.swift` of PTO2Worker): a core takes
/// the dispatches of its lanes in turn, waits for each one's gates, runs a kernel of a fixed
/// length, and says FIN.
final class VirtualCores {
  private let segment: Segment
  private var cores: [VirtualCore] = []
  /// The next FIN of each core.
  private var ends: [Int]
  private let setting: Setting
  private let threads: Int
  /// FINs that no thread has looked at yet, by the thread that polls the core.
  private(set) var unseen: [Int]
  /// How long kernels ran, together.
  private(set) var kernelTime = 0
  private(set) var lastEnd = 0

  struct VirtualCore {
    let page: CorePage<OwnedWord>
    let lanes: DispatchLanes<SharedWord>
    var lane: UInt32 = 0
    /// By lane: the word that was taken last, its position, and when it has its FIN.
    var taken = Array(
      repeating: (word: DispatchWord.idle, position: UInt32(0), end: 0), count: Int(PTO2_MAX_LANES))
    /// Lanes whose FIN is to come, from `head`.
    var running: [UInt32] = []
    var head = 0
    /// When its last kernel ends.
    var end = 0
  }

  /// - Parameter segment: attached as a worker's.
  init(_ segment: consuming Segment, _ setting: Setting) throws {
    let configuration = segment.configuration
    threads = Int(configuration.schedulerThreads)
    unseen = Array(repeating: 0, count: threads)
    ends = Array(repeating: .max, count: configuration.coreCount)
    self.setting = setting
    for core in 0..<configuration.coreCount {
      let page = try segment.openCore(core)
      for lane in 0..<UInt32(PTO2_MAX_LANES) {
        page.cond(lane).storeRelaxed(ConditionWord.coreIdle.rawValue)
      }
      page.ready.storeRelease(1)
      cores.append(VirtualCore(page: page, lanes: segment.dispatchLanes(core)))
    }
    self.segment = segment
  }

  /// The next FIN; .max when no kernel runs.
  var nextEnd: Int { ends.min() ?? .max }

  /// A thread has looked at the COND words of its cores.
  func didLook(_ thread: Int) { unseen[thread] = 0 }

  // MARK: Dispatches

  /// Every core takes what has been dispatched to it by now. What a dispatch waits for was
  /// dispatched before it, so its end is known at once.
  /// - Returns: how many there were.
  func take(at now: Int, _ program: VirtualProgram) throws -> Int {
    var count = 0
    var goesOn = true
    while goesOn {
      goesOn = false
      for core in cores.indices {
        while try takeNext(core, now, program) {
          count += 1
          goesOn = true
        }
      }
    }
    return count
  }

  /// False when there is nothing new on the core's next lane, or a dispatch that waits for one
  /// that was not taken yet.
  private func takeNext(_ index: Int, _ now: Int, _ program: VirtualProgram) throws -> Bool {
    let index32 = cores[index].lane
    let lane = cores[index].lanes[index32]
    let word = DispatchWord(rawValue: lane.word.loadAcquire())
    guard word != cores[index].taken[Int(index32)].word else { return false }
    guard case .dispatch(let offset, _) = word.content,
      let place = segment.place(ofDescriptorAt: offset)
    else {
      throw ScalingError("core \(index), lane \(index32): 0x\(String(word.rawValue, radix: 16))")
    }
    var begin = max(cores[index].end, now + setting.costs.line)
    for gate in 0..<lane.gateCount {
      guard let opens = opening(lane.gate(gate)) else { return false }
      begin = max(begin, opens + setting.costs.line)
    }
    begin += setting.costs.core
    let end = begin + setting.kernel
    let task = segment.mainRing(place.ring)[place.index].taskID
    // With --break the first core says FIN long before the kernel's end.
    let isBroken = setting.isBroken && index == 0
    try program.didRun(
      task, core: index, from: begin, to: isBroken ? begin + 10 * setting.kernel : end)
    kernelTime += setting.kernel
    lastEnd = max(lastEnd, end)
    cores[index].taken[Int(index32)] = (word, lane.position.loadAcquire(), end)
    cores[index].end = end
    cores[index].running.append(index32)
    if ends[index] == .max { ends[index] = end }
    cores[index].lane = index32 + 1 == segment.configuration.lanes ? 0 : index32 + 1
    return true
  }

  /// When a gate opens; nil for one that waits for a dispatch that was not taken yet.
  private func opening(_ gate: Gate) -> Int? {
    let there = cores[gate.core].taken[Int(gate.lane)]
    if there.word == .idle { return nil }
    let ahead = Int32(bitPattern: there.position &- gate.awaitedPosition)
    // Its lane was used again: its FIN was seen before.
    return ahead > 0 ? 0 : ahead == 0 ? there.end : nil
  }

  // MARK: FINs

  /// Stores the FINs that come up to a time.
  func finish(until now: Int) {
    for index in cores.indices where ends[index] <= now {
      while cores[index].head < cores[index].running.count {
        let lane = cores[index].running[cores[index].head]
        let taken = cores[index].taken[Int(lane)]
        guard taken.end <= now else { break }
        let page = cores[index].page
        let counters = page.ownCounters
        counters.kernels.value += 1
        counters.timedKernels.value += 1
        counters.timedNanoseconds.value += UInt64(setting.kernel)
        page.cond(lane).storeRelease(ConditionWord.fin(taken.word).rawValue)
        cores[index].head += 1
        unseen[index / Int(PTO2_CORES_PER_CLUSTER) % threads] += 1
      }
      if cores[index].head == cores[index].running.count {
        cores[index].running.removeAll(keepingCapacity: true)
        cores[index].head = 0
        ends[index] = .max
      } else {
        ends[index] = cores[index].taken[Int(cores[index].running[cores[index].head])].end
      }
    }
  }
}
