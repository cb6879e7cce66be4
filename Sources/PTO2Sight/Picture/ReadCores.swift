internal import CPTO2Segment
internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Cores and their words.
extension PictureReader {
  /// Looks at a core whose words move on, and of one whose words do not.
  private static var lookLimit: Int { 16 }
  private static var equalLooks: Int { 4 }

  func core(_ index: Int, _ rings: [RingPicture], _ damage: inout [String]) -> CorePicture {
    let page = copy.corePage(index)
    let told = copy.dispatchLanes(index)
    var core = CorePicture(CoreID(index))
    core.process = process(page.process)
    core.isServed = copy.isServed(core: index)
    core.parked = parked(page.parked.loadRelaxed())
    if case .unknown(let word) = core.parked {
      damage.append("core \(core.id): its parked word is \(hex(word)), which nobody stores")
    }
    let cpu = page.cpu.loadRelaxed()
    core.cpu = cpu > 0 && cpu < 1 << 16 ? Int(cpu) - 1 : nil
    let counters = page.counters
    core.kernels = counters.isPlausible ? counters.kernels : 0
    core.parks = counters.isPlausible ? counters.parks : 0
    let signal = page.crashSignal.loadRelaxed()
    core.crashSignal = (1...64).contains(signal) ? signal : 0
    core.crashPlace = copy.crashPlace(core: index).map(printable)
    core.error = page.error.readOfCore().map {
      ErrorFacts(code: $0.code, message: printable($0.message))
    }
    for lane in 0..<copy.configuration.lanes {
      core.lanes.append(self.lane(lane, told, page, rings))
    }
    if let lane = damagedLane(of: &core, rings) {
      damage.append(
        "core \(core.id), lane \(lane.index): DATA_MAIN_BASE \(hex(lane.word.rawValue)) and COND \(hex(lane.condition.rawValue)) do not belong together"
      )
    }
    return core
  }

  /// A lane whose two words contradict each other, and stay as they are: what a core is told
  /// and what it says are copied one after the other, and a session that lives goes on
  /// between.
  private func damagedLane(of core: inout CorePicture, _ rings: [RingPicture]) -> LanePicture? {
    var equal = 0
    for _ in 0..<Self.lookLimit {
      guard let lane = core.lanes.first(where: { $0.progress == .garbage || $0.isIllegal }) else {
        return nil
      }
      let index = core.id.index
      copy.copyWords(ofCore: index)
      let again = self.lane(lane.index, copy.dispatchLanes(index), copy.corePage(index), rings)
      core.lanes[Int(lane.index)] = again
      // The same words may come again, but not each time.
      equal = again.word == lane.word && again.condition == lane.condition ? equal + 1 : 0
      if equal == Self.equalLooks { return again }
    }
    return nil
  }

  private func parked(_ word: UInt32) -> CorePicture.Parked {
    if word == 0 { return .awake }
    let parked = CoreParked(rawValue: word)
    if let lane = parked.lane { return .lane(lane) }
    guard let gate = parked.gate, gate.isPlausible(cores: copy.configuration.coreCount) else {
      return .unknown(word)
    }
    return .gate(core: gate.core, lane: gate.lane)
  }

  private func lane(
    _ index: UInt32, _ told: DispatchLanes<SharedWord>, _ page: CorePage<SharedWord>,
    _ rings: [RingPicture]
  ) -> LanePicture {
    let view = told[index]
    var lane = LanePicture(
      index: index, word: DispatchWord(rawValue: view.word.loadRelaxed()),
      condition: ConditionWord(rawValue: page.cond(index).loadRelaxed()))
    lane.position = view.position.loadRelaxed()
    lane.block = view.block
    lane.isSkipped = view.skip.loadRelaxed() != 0
    guard lane.isOutstanding else { return lane }
    for number in 0..<min(view.gateCount, Int(PTO2_MAX_GATES)) {
      let gate = view.gate(number)
      guard gate.isPlausible(cores: copy.configuration.coreCount) else { continue }
      let isOpen = gate.isOpen(
        copy.dispatchLanes(gate.core)[gate.lane], copy.corePage(gate.core).cond(gate.lane))
      lane.gates.append(.init(core: gate.core, lane: gate.lane, isOpen: isOpen))
    }
    if let (id, subtask) = task(of: lane.word, rings) {
      lane.task = id
      let slot = copy.mainRing(id.ring)[id.local]
      if slot.taskID == id { lane.kernel = kernelName(slot.kernelID(subtask)) }
    }
    return lane
  }
}

extension LanePicture {
  /// A word that no scheduler stores.
  package var isIllegal: Bool { word.content == .invalid }
}
