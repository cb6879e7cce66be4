public import CPTO2Segment

/// The orchestrator's words: `OrchestratorPage<OwnedWord>` is the orchestrator's,
/// `OrchestratorPage<SharedWord>` everybody else's.
@safe @frozen @usableFromInline
package struct OrchestratorPage<Word: SegmentWord> {
  @usableFromInline let base: UnsafeRawPointer

  @usableFromInline typealias Layout = pto2_orchestrator_page

  /// - Parameter base: mapped for the life of this value; writable for OwnedWord.
  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  @inlinable @inline(__always)
  func word(_ offset: Int?) -> Word { unsafe Word(at: base + offset!) }

  /// Log position. Release: the log records, main slots, descriptors and fanin
  /// entries before it. The scheduler acquires it.
  @inlinable package var submitted: Word { word(MemoryLayout<Layout>.offset(of: \.submitted)) }
  /// The scheduler's `wanted` that was reached when the orchestrator last woke it. It is what
  /// the scheduler's first thread sleeps on: `submitted` changes with every task.
  @inlinable package var woken: Word { word(MemoryLayout<Layout>.offset(of: \.woken)) }
  /// PTO2_PARKED_...: which word the orchestrator sleeps on, 0 = awake.
  @inlinable package var parked: Word { word(MemoryLayout<Layout>.offset(of: \.parked)) }
  /// The position that word is waited to reach.
  @inlinable package var target: Word { word(MemoryLayout<Layout>.offset(of: \.target)) }
  /// `failed` of the scheduler's failure table as the run began: the run's failures are
  /// counted from there. Stored before the run's first submission.
  @inlinable
  package var failedBefore: Word { word(MemoryLayout<Layout>.offset(of: \.failed_before)) }
  /// PTO2_CONTROL_...; everybody waits on it.
  @inlinable package var control: Word { word(MemoryLayout<Layout>.offset(of: \.control)) }

  /// Names of scopes and tasks. Release: their records. Tools acquire it.
  @inlinable package var scopeNames: Word { word(MemoryLayout<Layout>.offset(of: \.scope_names)) }
  /// Records of what scopes took. Release: whose they are. Tools acquire it.
  @inlinable package var scopeUses: Word { word(MemoryLayout<Layout>.offset(of: \.scope_uses)) }
  /// Scopes whose name had no room, and scopes that are not in the table of uses.
  @inlinable
  package var unnamedScopes: Word { word(MemoryLayout<Layout>.offset(of: \.unnamed_scopes)) }
  @inlinable
  package var unmeasuredScopes: Word { word(MemoryLayout<Layout>.offset(of: \.unmeasured_scopes)) }
  /// Tasks whose name had no room.
  @inlinable
  package var unnamedTasks: Word { word(MemoryLayout<Layout>.offset(of: \.unnamed_tasks)) }

  /// Local id of a ring's next task, for tools.
  @inlinable
  package func currentTaskIndex(_ ring: Int) -> Word {
    word(
      MemoryLayout<Layout>.offset(of: \.rings)! + ring
        * MemoryLayout<pto2_orchestrator_ring>.stride)
  }

  package var process: ProcessRecord {
    unsafe ProcessRecord(at: base + MemoryLayout<Layout>.offset(of: \.process)!)
  }
  package var error: ErrorBlock {
    unsafe ErrorBlock(at: base + MemoryLayout<Layout>.offset(of: \.error)!)
  }
}

extension OrchestratorPage where Word == OwnedWord {
  package var ownProcess: OwnedProcessRecord {
    unsafe OwnedProcessRecord(at: base + MemoryLayout<Layout>.offset(of: \.process)!)
  }
  package var ownError: OwnedErrorBlock {
    unsafe OwnedErrorBlock(at: base + MemoryLayout<Layout>.offset(of: \.error)!)
  }
}
