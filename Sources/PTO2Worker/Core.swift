internal import CPTO2Linux
internal import CPTO2Segment
package import PTO2Protocol
package import PTO2Segment
internal import PTO2System

/// One AICore: reads its DATA_MAIN_BASE lanes in turn, acknowledges, runs the
/// kernel, says FIN. Nothing else, and no allocation while doing so.
@safe package struct Core: ~Copyable {
  package let index: Int
  private let words: UnsafeRawPointer
  private let conds: UnsafeMutableRawPointer
  private let parkedWord: OwnedWord
  private let readyWord: OwnedWord
  /// The READY value that the scheduler knows to be gone.
  private let fencedWord: SharedWord
  /// 1 while the scheduler counts on the worker before: its page, READY included, may
  /// have been overwritten by a kernel.
  private let admittedWord: SharedWord
  private let page: UnsafeMutableRawPointer
  private let schedulerParked: SharedWord
  /// The bit there of the scheduler thread that polls this core.
  private let threadBit: UInt32
  private let control: SharedWord
  private let laneCount: UInt32

  private let base: UnsafeRawPointer
  private let totalBytes: UInt64
  private let dispatchBase: UInt64
  /// Per ring: first byte of its descriptors from dispatch_base, and of its
  /// main slots from the segment base; how many there are.
  private let ringBases: [(descriptors: UInt64, slots: UInt64, window: UInt64)]
  private let directory: KernelDirectory
  private let snapshots: Snapshots

  /// The lane whose word comes next.
  private var lane: UInt32 = 0
  /// The last word served on each lane.
  private let served: UnsafeMutablePointer<UInt32>
  private let data: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let arguments: UnsafeMutablePointer<pto2_kernel_args>
  private var kernels: UInt64 = 0
  private var timed: UInt64 = 0
  private var timedNanoseconds: UInt64 = 0
  private var parks: UInt64 = 0
  private var waitSet = WaitSet()

  /// Why `step` cannot go on.
  package enum Outcome: Equatable {
    /// Nothing to do on the next lane.
    case idle
    case ran
    /// EXIT was read and acknowledged.
    case exited
    /// A word or descriptor that no scheduler or orchestrator writes.
    case garbage(PTO2ErrorMessage)
  }

  /// What is wrong with a word or descriptor, for the error's text.
  package struct PTO2ErrorMessage: Equatable {
    package var text: String
  }

  /// Takes the core: its lock, its page. Throws when a live process hosts it.
  package init(_ segment: borrowing Segment, core: Int, directory: KernelDirectory)
    throws(SegmentError)
  {
    let page = unsafe try segment.openCore(core)
    index = core
    unsafe self.page = page
    unsafe words = segment.read(.dataMainBase) + core * MemoryLayout<pto2_dispatch_line>.stride
    unsafe conds = page + Int(PTO2_CORE_COND)
    parkedWord = unsafe OwnedWord(page + Int(PTO2_CORE_PARKED))
    readyWord = unsafe OwnedWord(page + Int(PTO2_CORE_READY))
    fencedWord = unsafe SharedWord(
      segment.read(.schedulerWords) + Int(PTO2_SCHED_FENCED) + 4 * core)
    admittedWord = unsafe SharedWord(
      segment.read(.schedulerWords) + Int(PTO2_SCHED_ADMITTED) + 4 * core)
    schedulerParked = unsafe SharedWord(segment.read(.schedulerWords) + Int(PTO2_SCHED_PARKED))
    threadBit =
      1 << (UInt32(truncatingIfNeeded: core / 3) % segment.configuration.schedulerThreads)
    control = unsafe SharedWord(segment.read(.orchestratorWords) + Int(PTO2_ORCH_CONTROL))
    laneCount = segment.configuration.lanes
    unsafe base = segment.mapping.base
    totalBytes = segment.layout.totalBytes
    // What the header said when it was checked.
    dispatchBase = segment.layout.dispatchBase
    let rings = segment.configuration.rings
    ringBases = rings.indices.map { ring in
      (
        segment.layout.section(.dispatchTable, ring: ring).offset - segment.layout.dispatchBase,
        segment.layout.section(.mainRing, ring: ring).offset, UInt64(rings[ring].taskWindow)
      )
    }
    self.directory = directory
    snapshots = unsafe Snapshots(base, segment.layout)
    unsafe served = .allocate(capacity: Int(PTO2_MAX_LANES))
    unsafe served.initialize(repeating: PTO2_SCHEDULER_IDLE, count: Int(PTO2_MAX_LANES))
    unsafe data = .allocate(capacity: Int(PTO2_MAX_TENSORS))
    unsafe data.initialize(repeating: nil, count: Int(PTO2_MAX_TENSORS))
    unsafe arguments = .allocate(capacity: 1)
    unsafe arguments.initialize(to: pto2_kernel_args())
  }

  deinit {
    unsafe served.deallocate()
    unsafe data.deallocate()
    unsafe arguments.deallocate()
  }

  /// Waits until the scheduler has read the words of the worker that hosted this
  /// core before, if there was one: from then on they are this process's.
  /// - Returns: false when the session is over first.
  package mutating func awaitFence() -> Bool {
    let before = readyWord.loadOwn()
    while true {
      // Acquire: pairs with the scheduler's release after it made the lanes idle.
      let admitted = admittedWord.loadAcquire()
      let fenced = fencedWord.loadAcquire()
      if fenced == before && admitted == 0 { return true }
      if !isSessionRunning { return false }
      waitSet.removeAll()
      waitSet.insert(fencedWord, while: fenced)
      waitSet.insert(admittedWord, while: admitted)
      waitSet.insert(control, while: PTO2_CONTROL_RUNNING)
      waitSet.wait(timeoutNanoseconds: 100_000_000)
    }
  }

  /// Resets the COND lanes, then announces READY(incarnation): readiness is
  /// published last, so no stale FIN is ever seen.
  package mutating func announce(isSupervised: Bool) {
    for lane in 0..<UInt32(PTO2_MAX_LANES) { cond(lane).storeRelaxed(PTO2_CORE_IDLE) }
    parkedWord.storeRelaxed(0)
    unsafe OwnedWord(page + Int(PTO2_CORE_ERROR)).storeRelaxed(0)
    unsafe OwnedWord(page + Int(PTO2_CORE_CRASH)).storeRelaxed(0)
    unsafe recordCrashes(
      at: page + Int(PTO2_CORE_CRASH), base: base, bytes: totalBytes)
    resumeCounters()
    // One more than what the scheduler knows to be gone, and not 0, whatever a kernel
    // has left here.
    let gone = fencedWord.loadRelaxed()
    unsafe (page + Int(PTO2_CORE_PROCESS)).assumingMemoryBound(to: pto2_process_record.self)
      .pointee.incarnation = gone == UInt32.max ? 0 : gone
    let incarnation = unsafe ProcessRecord.announce(
      isSupervised: isSupervised, at: page + Int(PTO2_CORE_PROCESS))
    readyWord.storeRelease(incarnation)
    fullFence()
    if schedulerParked.loadRelaxed() & threadBit != 0 { Futex.wake(readyWord.shared) }
  }

  @inline(__always)
  private func cond(_ lane: UInt32) -> OwnedWord { unsafe OwnedWord(conds + 4 * Int(lane)) }

  @inline(__always)
  private func wordFromScheduler(_ lane: UInt32) -> SharedWord {
    unsafe SharedWord(words + 4 * Int(lane))
  }

  /// Serves the next lane if there is a new word on it. Never blocks but in
  /// the kernel.
  package mutating func step() -> Outcome {
    // Acquire: pairs with the scheduler's release of the dispatch word; the
    // descriptor and main slot were published before it.
    let raw = wordFromScheduler(lane).loadAcquire()
    if unsafe raw == served[Int(lane)] { return .idle }
    let word = DispatchWord(rawValue: raw)
    switch word.content {
    case .idle: return .idle
    case .exit:
      leave()
      return .exited
    case .invalid:
      return .garbage(.init(text: "DATA_MAIN_BASE lane \(lane) is 0x\(String(raw, radix: 16))"))
    case .dispatch(let offset, let slot):
      if let garbage = run(word, descriptorOffset: offset, slot: slot) { return garbage }
      // Release: whoever sees FIN sees everything the kernel stored.
      cond(lane).storeRelease(ConditionWord.fin(word).rawValue)
      // No look at `parked` may pass the FIN; pairs with the scheduler's fence
      // between its `parked` and its last look at COND.
      fullFence()
      if schedulerParked.loadRelaxed() & threadBit != 0 { Futex.wake(cond(lane).shared) }
      unsafe served[Int(lane)] = raw
      lane = lane + 1 == laneCount ? 0 : lane + 1
      return .ran
    }
  }

  /// Acknowledges EXIT, or the end of the session, on every lane.
  package func leave() {
    publishCounters()
    for lane in 0..<UInt32(PTO2_MAX_LANES) { cond(lane).storeRelease(PTO2_EXITED) }
  }

  /// Acknowledges the word and calls the kernel. Everything read from the segment
  /// is checked first, so a damaged descriptor ends in an error, not in a wild call.
  @inline(__always)
  private mutating func run(_ word: DispatchWord, descriptorOffset offset: UInt64, slot: UInt32)
    -> Outcome?
  {
    var ring = ringBases.count - 1
    while ring > 0 && offset < ringBases[ring].descriptors { ring -= 1 }
    let (slotIndex, rest) = (offset - ringBases[ring].descriptors)
      .quotientAndRemainder(dividingBy: UInt64(PTO2_DESC_STRIDE))
    guard rest == 0, slotIndex < ringBases[ring].window else {
      return garbage("no descriptor begins at offset \(offset)")
    }
    let descriptor = unsafe base + Int(dispatchBase + offset)
    let call = CallWord(
      rawValue: unsafe descriptor.load(fromByteOffset: 8 * Int(slot), as: UInt64.self))
    let function = directory.function(of: call)
    let tensors = call.tensors
    guard function != 0, tensors <= Int(PTO2_MAX_TENSORS), call.scalars <= Int(PTO2_MAX_SCALARS)
    else { return garbage("no image has a kernel at 0x\(String(call.rawValue, radix: 16))") }

    let mainSlot =
      unsafe base + Int(ringBases[ring].slots)
      + MainRing.slotOffset(UInt32(truncatingIfNeeded: slotIndex))
    // Before ACK: a worker that dies here has not begun, so the task comes again.
    if call.hasSnapshot, let reason = unsafe snapshots.prepare(mainSlot) { return garbage(reason) }
    cond(lane).storeRelease(ConditionWord.ack(word).rawValue)
    let args = unsafe descriptor + MemoryLayout<PTO2DispatchDesc>.offset(of: \.args)!
    for tensor in 0..<tensors {
      let position = unsafe args.load(fromByteOffset: 8 * tensor, as: UInt64.self)
      guard position < totalBytes else {
        return garbage("tensor \(tensor) at offset \(position) beyond the segment")
      }
      unsafe data[tensor] = UnsafeMutableRawPointer(mutating: base + Int(position))
    }
    unsafe arguments.pointee.data = UnsafePointer(data)
    unsafe arguments.pointee.tensor = unsafe (mainSlot + MemoryLayout<pto2_main_slot>.size)
      .assumingMemoryBound(to: pto2_tensor.self)
    unsafe arguments.pointee.scalar = (args + 8 * tensors).assumingMemoryBound(to: UInt64.self)
    unsafe arguments.pointee.tensor_count = UInt32(truncatingIfNeeded: tensors)
    unsafe arguments.pointee.scalar_count = UInt32(truncatingIfNeeded: call.scalars)
    unsafe arguments.pointee.slot = slot
    unsafe arguments.pointee.core = UInt32(truncatingIfNeeded: index)
    if call.isSPMD {
      // Published by the dispatch word of this lane.
      unsafe arguments.pointee.block_index = words.load(
        fromByteOffset: 4 * (Int(PTO2_MAX_LANES) + Int(lane)), as: UInt32.self)
      unsafe arguments.pointee.block_count =
        mainSlot.assumingMemoryBound(to: pto2_main_slot.self).pointee.block_count
    } else {
      unsafe arguments.pointee.block_index = 0
      unsafe arguments.pointee.block_count = 1
    }

    // Two clock readings cost as much as a small kernel: while kernels are
    // shorter than 2 us on average, one in sixteen is timed.
    kernels &+= 1
    // What a worker that is killed has done is known up to here.
    if kernels & 255 == 0 { publishCounters() }
    if kernels & 15 == 0 || timedNanoseconds >= timed &* 2000 {
      let begin = MonotonicClock.now()
      unsafe pto2_call(function, arguments)
      timedNanoseconds &+= MonotonicClock.now() &- begin
      timed &+= 1
    } else {
      unsafe pto2_call(function, arguments)
    }
    return nil
  }

  private func garbage(_ what: String) -> Outcome { .garbage(.init(text: what)) }

  /// Publishes this core's error; the process then ends.
  package func publish(_ error: PTO2Error) {
    unsafe ErrorBlock.write(error, core: index, to: page + Int(PTO2_CORE_ERROR))
  }

  /// Goes on counting where the worker before has published its counters.
  private mutating func resumeCounters() {
    let counted = unsafe (page + Int(PTO2_CORE_COUNTERS)).load(as: pto2_core_counters.self)
    guard counted.isPlausible else { return }
    kernels = counted.kernels
    timed = counted.timed_kernels
    timedNanoseconds = counted.timed_nanoseconds
    parks = counted.parks
  }

  private func publishCounters() {
    let record = unsafe (page + Int(PTO2_CORE_COUNTERS))
      .assumingMemoryBound(to: pto2_core_counters.self)
    unsafe record.pointee.kernels = kernels
    unsafe record.pointee.timed_kernels = timed
    unsafe record.pointee.timed_nanoseconds = timedNanoseconds
    unsafe record.pointee.parks = parks
  }

  /// True while the orchestrator has neither ended nor failed.
  package var isSessionRunning: Bool { control.loadAcquire() == PTO2_CONTROL_RUNNING }

  /// Sleeps until the next lane's word changes, the session ends, or the time
  /// is over.
  package mutating func park(timeoutNanoseconds: Int64) {
    let word = wordFromScheduler(lane)
    let last = word.loadAcquire()
    parkedWord.storeRelaxed(1)
    // Orders `parked` before the last look; pairs with the scheduler's fence
    // between its dispatch store and its look at `parked`.
    fullFence()
    if unsafe (last == served[Int(lane)] || DispatchWord(rawValue: last).content == .idle)
      && word.loadAcquire() == last && isSessionRunning
    {
      parks &+= 1
      publishCounters()
      waitSet.removeAll()
      waitSet.insert(word, while: last)
      waitSet.insert(control, while: PTO2_CONTROL_RUNNING)
      waitSet.wait(timeoutNanoseconds: timeoutNanoseconds)
    }
    parkedWord.storeRelaxed(0)
  }
}
