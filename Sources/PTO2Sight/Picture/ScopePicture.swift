internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment

/// The scopes that a program has named, as far as their tables have room.
package struct ScopeFacts: Equatable, Sendable {
  /// What scopes of one name that have ended took of one ring.
  package struct Use: Equatable, Sendable {
    /// Of one of three parts: how much one scope took.
    package struct Part: Equatable, Sendable {
      package var peak: UInt64
      fileprivate var buckets: ScopeBuckets
      /// What a bucket counts as one.
      fileprivate var unit: UInt64

      package init(peak: UInt64, buckets: ScopeBuckets, unit: UInt64 = 1) {
        self.peak = peak
        self.buckets = buckets
        self.unit = unit
      }

      /// So many took no more than this, rounded up to the end of a power of two.
      package func quantile(_ share: Double) -> UInt64 {
        min(peak, buckets.quantile(share) * unit)
      }
    }

    package var name: String
    package var ring: Int
    package var scopes: UInt64
    package var tasks, heap, pool: Part

    package init(name: String, ring: Int, scopes: UInt64, tasks: Part, heap: Part, pool: Part) {
      self.name = name
      self.ring = ring
      self.scopes = scopes
      self.tasks = tasks
      self.heap = heap
      self.pool = pool
    }
  }

  package var uses: [Use] = []
  /// Scopes and tasks whose name found no room, and scopes that are not in `uses` for want of
  /// room.
  package var unnamed: UInt32 = 0
  package var unnamedTasks: UInt32 = 0
  package var unmeasured: UInt32 = 0
  package init() {}
}

extension PictureReader {
  /// The names and uses that the words say there are.
  func copyScopes() {
    // Acquire: pairs with the orchestrator's release behind their records.
    let page = copy.orchestratorPage
    copy.copyRecords(.scopeNames, first: 0, count: page.scopeNames.loadAcquire())
    copy.copyRecords(.scopeUses, first: 0, count: page.scopeUses.loadAcquire())
  }

  /// Words, names and uses are copied.
  func scopes(_ damage: inout [String]) -> ScopeFacts {
    let page = copy.orchestratorPage
    var facts = ScopeFacts()
    facts.unnamed = page.unnamedScopes.loadRelaxed()
    facts.unnamedTasks = page.unnamedTasks.loadRelaxed()
    facts.unmeasured = page.unmeasuredScopes.loadRelaxed()
    let (names, uses) = (page.scopeNames.loadRelaxed(), page.scopeUses.loadRelaxed())
    guard names <= PTO2_MAX_SCOPE_NAMES, uses <= PTO2_MAX_SCOPE_USES else {
      damage.append(
        "\(names) names of scopes and tasks and \(uses) records of what they took: there is room for \(PTO2_MAX_SCOPE_NAMES) and \(PTO2_MAX_SCOPE_USES)"
      )
      return facts
    }
    for place in 0..<Int(uses) {
      let record = copy.scopeUses[place].content
      guard let name = self.names(Int(record.name)).scope,
        record.ring < copy.configuration.rings.count
      else {
        damage.append("what scopes took: record \(place) is of no name and ring that there are")
        break
      }
      facts.uses.append(Self.use(record, name))
    }
    facts.uses.sort { ($0.ring, $0.name) < ($1.ring, $1.name) }
    return facts
  }

  private static func use(_ record: pto2_scope_use, _ name: String) -> ScopeFacts.Use {
    func part<Counts>(_ peak: UInt64, _ counts: Counts, unit: Int32 = 1) -> ScopeFacts.Use.Part {
      let list = unsafe withUnsafeBytes(of: counts) { bytes in
        unsafe [UInt32](bytes.bindMemory(to: UInt32.self))
      }
      return .init(peak: peak, buckets: ScopeBuckets(list), unit: UInt64(unit))
    }
    return ScopeFacts.Use(
      name: name, ring: Int(record.ring), scopes: record.scopes,
      tasks: part(UInt64(record.peak_tasks), record.tasks),
      heap: part(min(record.peak_heap_bytes, 1 << 48), record.heap, unit: PTO2_SCOPE_HEAP_UNIT),
      pool: part(UInt64(record.peak_dep_pool), record.dep_pool))
  }

  /// Of the scope, and of the task itself, that a number in a main slot leads to.
  func names(_ number: Int) -> (scope: String?, task: String?) {
    let count = min(copy.orchestratorPage.scopeNames.loadRelaxed(), UInt32(PTO2_MAX_SCOPE_NAMES))
    let table = copy.scopeNames
    let names = TaskNames(of: number, in: table, count: Int(count))
    return (
      names.scope == 0 ? nil : printable(table[names.scope - 1].text),
      names.task == 0 ? nil : printable(table[names.task - 1].text)
    )
  }
}
