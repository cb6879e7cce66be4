internal import CPTO2Segment
package import PTO2Protocol

/// A scope that is open.
struct Scope: BitwiseCopyable {
  var serial: UInt64
  var ring: Int
  /// Its tasks are neither looked up nor entered in the TensorMap.
  var isManual: Bool
  /// How deep it is, and its name: as main slots have it of tasks without one of their own.
  var place: UInt16
  /// Tasks submitted directly in it.
  var count: UInt64 = 0
  /// Those of them that it holds until it ends, since they have outputs, and the last
  /// one.
  var heldCount: UInt32 = 0
  var lastHeld: UInt32 = 0
  /// Where its tasks run of which nothing else says so.
  var rank = 0
}

extension Scope {
  /// As the main slot of a task has it.
  /// - Parameter name: the task's own; 0 for none.
  @inline(__always)
  func place(named name: UInt16) -> UInt16 { name == 0 ? place : withName(name) }

  /// Apart, so that a task without a name costs one branch.
  @inline(never)
  private func withName(_ name: UInt16) -> UInt16 {
    ScopePlace(name: Int(name), depth: ScopePlace(rawValue: place).depth).rawValue
  }

  /// The number of its name, or of the innermost scope around it that has one; 0 for none.
  var name: Int { Int(place >> UInt16(PTO2_SCOPE_NAME_SHIFT)) }
}

/// The scopes that are open, outermost first.
struct ScopeStack: ~Copyable {
  private var open = PlainArray<Scope>(capacity: Int(PTO2_MAX_SCOPE_DEPTH) + 1)
  private var serial: UInt64 = 0

  var depth: Int { open.count }

  /// There is one while a run lasts.
  @inline(__always)
  var innermost: Scope { open[open.count - 1] }

  /// - Parameter name: its number; 0 for that of the scope around it.
  mutating func push(ring: Int, isManual: Bool, name: Int = 0) {
    serial &+= 1
    let name = name == 0 && depth > 0 ? innermost.name : name
    let place = ScopePlace(name: name, depth: depth).rawValue
    var scope = Scope(serial: serial, ring: ring, isManual: isManual, place: place)
    if depth > 0 { scope.rank = innermost.rank }
    open.append(scope)
  }

  /// Of the innermost scope.
  mutating func setRank(_ rank: Int) { open[open.count - 1].rank = rank }

  mutating func pop() { open.removeAll(from: open.count - 1) }

  /// The innermost scope has a new task.
  @inline(__always)
  mutating func noteSubmitted(_ local: UInt32, isHeld: Bool) {
    open[open.count - 1].count += 1
    if !isHeld { return }
    open[open.count - 1].heldCount += 1
    open[open.count - 1].lastHeld = local
  }

  /// True while the scope a buffer's owner was submitted in is open.
  @inline(__always)
  func isOpen(_ serial: UInt64) -> Bool {
    var index = open.count - 1
    while index >= 0 {
      let other = open[index].serial
      if other == serial { return true }
      // Serials grow with depth: deeper in the past means closed.
      if other < serial { return false }
      index -= 1
    }
    return false
  }
}

extension Orchestrator {
  package var scopeDepth: Int { scopes.depth }

  /// - Parameter name: for tools; empty for that of the scope around it.
  package mutating func beginScope(isManual: Bool = false, named name: String = "")
    throws(PTO2Error)
  {
    try fault.check()
    guard scopes.depth <= Int(PTO2_MAX_SCOPE_DEPTH) else {
      throw fault.raise(
        PTO2Error(
          .invalidArgs, "scopes are nested \(PTO2_MAX_SCOPE_DEPTH) deep at most",
          needed: UInt64(scopes.depth), available: UInt64(PTO2_MAX_SCOPE_DEPTH)))
    }
    openScope(isManual: isManual, name: name.isEmpty ? 0 : number(ofScopes: name))
  }

  private mutating func number(ofScopes name: String) -> Int {
    var name = name
    return name.withUTF8 {
      unsafe scopeNames.number(of: UnsafeRawBufferPointer($0), in: segment)
    }
  }

  mutating func openScope(isManual: Bool, name: Int = 0) {
    let ring = min(scopes.depth, rings.count - 1)
    scopes.push(ring: ring, isManual: isManual, name: name)
    if scopes.innermost.name != 0 {
      scopeNames.begin(at: scopes.depth - 1, RingPosition(rings[ring]))
    }
  }

  /// Ends the innermost scope: tasks with outputs lose the reference it holds on them.
  package mutating func endScope() throws(PTO2Error) {
    try fault.check()
    guard scopes.depth > 1 else {
      throw fault.raise(PTO2Error(.invalidArgs, "scope end without a scope begin"))
    }
    try closeScope()
  }

  mutating func closeScope() throws(PTO2Error) {
    if scopes.innermost.heldCount > 0 && !log.hasRoom { try waitForLog() }
    endInnermostScope()
  }

  /// There is room in the log.
  mutating func endInnermostScope() {
    let scope = scopes.innermost
    scopes.pop()
    if !ranks.isAlone { endForeignOutputs(of: scope.serial) }
    if scope.name != 0 {
      scopeNames.end(scope, at: scopes.depth, RingPosition(rings[scope.ring]))
    }
    guard scope.heldCount > 0 else { return }
    log.append(
      pto2_log_record(
        kind: PTO2_LOG_SCOPE_END, ring: UInt32(scope.ring), id: scope.lastHeld,
        count: scope.heldCount))
  }
}
