package import CPTO2Segment

/// The scope and the name of a task, as its main slot has them.
package struct ScopePlace: Equatable, Sendable {
  package var rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }

  @inline(__always)
  package init(name: Int, depth: Int) {
    rawValue = UInt16(truncatingIfNeeded: name << Int(PTO2_SCOPE_NAME_SHIFT) | depth)
  }

  /// Scopes around it, the outermost not counted.
  package var depth: Int { Int(rawValue & UInt16(PTO2_SCOPE_DEPTH_MASK)) }
  /// The number of the task's own name, or of its scope's; from 1 on, 0 for none.
  package var name: Int { Int(rawValue >> UInt16(PTO2_SCOPE_NAME_SHIFT)) }
}

/// A name that the program has given scopes, or tasks in the scopes of one name.
@safe package struct ScopeName: RecordView {
  private let base: UnsafeRawPointer

  package static var stride: Int { MemoryLayout<pto2_scope_name>.stride }

  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  package var text: String {
    let record = unsafe base.load(as: pto2_scope_name.self)
    let length = min(record.length, UInt16(PTO2_SCOPE_NAME_BYTES))
    return unsafe withUnsafeBytes(of: record.name) {
      unsafe String(decoding: $0.prefix(Int(length)), as: UTF8.self)
    }
  }

  /// Of tasks: the number of the name of the scopes that they are in, 0 for none.
  package var scope: Int? {
    let scope = unsafe base.load(as: pto2_scope_name.self).scope
    return UInt32(scope) == PTO2_NAME_OF_SCOPES ? nil : Int(scope)
  }
}

/// The names that a task's number leads to, in a table that may hold anything.
package struct TaskNames: Equatable, Sendable {
  /// The number of its scope's name; 0 for none.
  package var scope = 0
  /// The same of its own.
  package var task = 0

  /// - Parameter count: names in the table.
  package init(of number: Int, in names: RecordList<ScopeName>, count: Int) {
    guard number > 0, number <= count else { return }
    guard let around = names[number - 1].scope else {
      scope = number
      return
    }
    task = number
    if around > 0, around <= count, names[around - 1].scope == nil { scope = around }
  }
}

/// The same for the orchestrator.
@safe package struct OwnedScopeName: RecordView {
  private let record: UnsafeMutablePointer<pto2_scope_name>

  package static var stride: Int { MemoryLayout<pto2_scope_name>.stride }

  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_scope_name.self)
  }

  /// What a record keeps of a name: up to the last whole character that fits.
  package static func kept(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    let most = Int(PTO2_SCOPE_NAME_BYTES)
    guard text.count > most else { return unsafe text }
    var length = most
    while length > most - 3, unsafe text[length] & 0xC0 == 0x80 { length -= 1 }
    return unsafe UnsafeRawBufferPointer(rebasing: text[..<length])
  }

  /// - Parameter scope: PTO2_NAME_OF_SCOPES, or the number of the scopes' name.
  package func set(_ text: UnsafeRawBufferPointer, scope: UInt16) {
    unsafe record.pointee.length = UInt16(text.count)
    unsafe record.pointee.scope = scope
    unsafe withUnsafeMutableBytes(of: &record.pointee.name) { unsafe $0.copyMemory(from: text) }
  }

  package func isSame(_ text: UnsafeRawBufferPointer, scope: UInt16) -> Bool {
    guard unsafe record.pointee.scope == scope, unsafe Int(record.pointee.length) == text.count
    else { return false }
    return unsafe text.elementsEqual(self.text)
  }

  package var scope: UInt16 { unsafe record.pointee.scope }

  package var text: UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(
      start: UnsafeRawPointer(record) + MemoryLayout<pto2_scope_name>.offset(of: \.name)!,
      count: Int(record.pointee.length))
  }
}

/// What the scopes of a name that have ended took of a ring.
@safe package struct ScopeUse: RecordView {
  private let base: UnsafeRawPointer

  package static var stride: Int { MemoryLayout<pto2_scope_use>.stride }

  package init(at base: UnsafeRawPointer) { unsafe self.base = base }

  /// Whole, as it stands there.
  package var content: pto2_scope_use { unsafe base.load(as: pto2_scope_use.self) }
}

/// The same for the orchestrator.
@safe package struct OwnedScopeUse: RecordView {
  private let record: UnsafeMutablePointer<pto2_scope_use>

  package static var stride: Int { MemoryLayout<pto2_scope_use>.stride }

  package init(at base: UnsafeRawPointer) {
    unsafe record = UnsafeMutableRawPointer(mutating: base)
      .assumingMemoryBound(to: pto2_scope_use.self)
  }

  package func set(name: UInt32, ring: UInt32) {
    unsafe record.pointee.name = name
    unsafe record.pointee.ring = ring
  }

  /// One more scope has ended, which took so much; of the heap, bytes.
  package func add(tasks: UInt64, heap: UInt64, pool: UInt64) {
    unsafe record.pointee.scopes &+= 1
    unsafe record.pointee.peak_tasks = max(record.pointee.peak_tasks, UInt32(clamping: tasks))
    unsafe record.pointee.peak_dep_pool = max(record.pointee.peak_dep_pool, UInt32(clamping: pool))
    unsafe record.pointee.peak_heap_bytes = max(record.pointee.peak_heap_bytes, heap)
    let unit = UInt64(PTO2_SCOPE_HEAP_UNIT)
    count(\.tasks, tasks)
    count(\.dep_pool, pool)
    count(\.heap, (heap &+ unit &- 1) / unit)
  }

  private func count<Buckets>(
    _ buckets: WritableKeyPath<pto2_scope_use, Buckets>, _ value: UInt64
  ) {
    unsafe withUnsafeMutableBytes(of: &record.pointee[keyPath: buckets]) { bytes in
      let counts = unsafe bytes.assumingMemoryBound(to: UInt32.self)
      let bucket = ScopeBuckets.bucket(of: value)
      if unsafe counts[bucket] < UInt32.max { unsafe counts[bucket] += 1 }
    }
  }
}

/// Counts of scopes by the powers of two between which lies what they took.
package struct ScopeBuckets: Equatable, Sendable {
  package var counts: [UInt32]
  package init(_ counts: [UInt32]) { self.counts = counts }

  package static func bucket(of value: UInt64) -> Int {
    min(UInt64.bitWidth - value.leadingZeroBitCount, Int(PTO2_SCOPE_BUCKETS) - 1)
  }

  /// The most that this share of them took: the next power of two less one, 0 of none.
  package func quantile(_ share: Double) -> UInt64 {
    let all = counts.reduce(UInt64(0)) { $0 + UInt64($1) }
    let wanted = UInt64((Double(all) * share).rounded(.up))
    var sum: UInt64 = 0
    for (bucket, count) in counts.enumerated() {
      sum += UInt64(count)
      if sum >= max(1, wanted) { return (1 << UInt64(bucket)) - 1 }
    }
    return 0
  }
}
