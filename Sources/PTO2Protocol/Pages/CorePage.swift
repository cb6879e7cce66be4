public import CPTO2Segment

/// One core's page: `CorePage<OwnedWord>` is the worker's that hosts the core,
/// `CorePage<SharedWord>` everybody else's.
@safe @frozen @usableFromInline
package struct CorePage<Word: SegmentWord> {
  @usableFromInline let base: UnsafeRawPointer

  @usableFromInline typealias Layout = pto2_core_page

  /// - Parameter base: mapped for the life of this value; writable for OwnedWord.
  @inlinable
  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  @inlinable @inline(__always)
  func word(_ offset: Int?) -> Word { unsafe Word(at: base + offset!) }

  /// COND of a lane. Release of FIN: what the kernel stored. The scheduler acquires it.
  @inlinable @inline(__always)
  package func cond(_ lane: UInt32) -> Word {
    word(MemoryLayout<Layout>.offset(of: \.cond)! + 4 * Int(lane))
  }
  /// What it sleeps on: PTO2_CORE_PARKED_...; 0 = awake.
  @inlinable package var parked: Word { word(MemoryLayout<Layout>.offset(of: \.parked)) }
  /// 1 + the CPU of its last kernel; 0 = not known.
  @inlinable package var cpu: Word { word(MemoryLayout<Layout>.offset(of: \.cpu)) }
  /// The incarnation once READY, 0 before.
  @inlinable package var ready: Word { word(MemoryLayout<Layout>.offset(of: \.ready)) }

  package var process: ProcessRecord {
    unsafe ProcessRecord(at: base + MemoryLayout<Layout>.offset(of: \.process)!)
  }
  package var error: ErrorBlock {
    unsafe ErrorBlock(at: base + MemoryLayout<Layout>.offset(of: \.error)!)
  }
  package var counters: pto2_core_counters {
    unsafe (base + MemoryLayout<Layout>.offset(of: \.counters)!).load(as: pto2_core_counters.self)
  }
  /// The signal of the worker's crash; 0 = none. Released after the rest of `crash`.
  package var crashSignal: Word { word(MemoryLayout<Layout>.offset(of: \.crash)) }
  package var crash: pto2_crash_record {
    unsafe (base + MemoryLayout<Layout>.offset(of: \.crash)!).load(as: pto2_crash_record.self)
  }
}

extension CorePage where Word == OwnedWord {
  package var ownProcess: OwnedProcessRecord {
    unsafe OwnedProcessRecord(at: base + MemoryLayout<Layout>.offset(of: \.process)!)
  }
  package var ownError: OwnedErrorBlock {
    unsafe OwnedErrorBlock(at: base + MemoryLayout<Layout>.offset(of: \.error)!)
  }
  package var ownCounters: OwnedCoreCounters {
    unsafe OwnedCoreCounters(at: base + MemoryLayout<Layout>.offset(of: \.counters)!)
  }
  /// Where a signal handler records this worker's crash.
  package var ownCrash: UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(mutating: base + MemoryLayout<Layout>.offset(of: \.crash)!)
  }
}

/// What a core has done, counted in its page: whoever has acquired the core's FIN, or a
/// word that was released after it, sees the kernel counted.
@safe @frozen @usableFromInline
package struct OwnedCoreCounters {
  @usableFromInline let record: UnsafeMutablePointer<pto2_core_counters>

  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_core_counters.self)
  }

  package var whole: pto2_core_counters {
    get { unsafe record.pointee }
    nonmutating set { unsafe record.pointee = newValue }
  }
  /// Kernels that have returned.
  @inlinable @inline(__always)
  package var kernels: Cell<UInt64> { unsafe Cell(&record.pointee.kernels) }
  @inlinable @inline(__always)
  package var timedKernels: Cell<UInt64> { unsafe Cell(&record.pointee.timed_kernels) }
  @inlinable @inline(__always)
  package var timedNanoseconds: Cell<UInt64> { unsafe Cell(&record.pointee.timed_nanoseconds) }
  @inlinable @inline(__always)
  package var parks: Cell<UInt64> { unsafe Cell(&record.pointee.parks) }
}

extension pto2_core_counters {
  /// False for what no worker has counted: a kernel has spoilt its core's page.
  package var isPlausible: Bool {
    kernels < 1 << 56 && timed_kernels <= kernels && timed_nanoseconds < 1 << 56
  }
}
