#if PTO2_SIMULATION
  internal import CSimulation
  public import PTO2Protocol

  /// What waits, sleeps, or asks who lives, as the simulator has it.
  extension Simulation {
    package static func wait(
      _ words: UnsafeMutablePointer<UnsafePointer<UInt32>?>,
      _ expected: UnsafeMutablePointer<UInt32>, _ count: Int, _ timeoutNanoseconds: Int64
    ) { unsafe sim_wait(words, expected, UInt32(count), timeoutNanoseconds) }

    package static func wake(_ word: UnsafePointer<UInt32>) { unsafe sim_wake(word) }
    package static func pause() { sim_pause() }
    package static func sleep(_ nanoseconds: UInt64) { sim_sleep(nanoseconds) }
    package static var now: UInt64 { sim_now() }
    @usableFromInline
    package static var spins: UInt32 { sim_spin_rounds() }

    // MARK: Processes

    package static var pid: Int32 { sim_pid() }
    static func hasEnded(_ pid: Int32) -> Bool { sim_has_ended(pid) != 0 }

    package static func exit(_ status: Int32) -> Never {
      sim_exit(status)
      fatalError("a process that has ended went on")
    }
  }

  /// A process of the simulation.
  package struct ProcessHandle: ~Copyable {
    private let pid: Int32

    package init?(_ identity: ProcessIdentity) {
      if Simulation.hasEnded(identity.pid) { return nil }
      pid = identity.pid
    }

    package func hasEnded() -> Bool { Simulation.hasEnded(pid) }
    package func waitUntilEnded() {}
  }

  package struct ProcessSet {
    private var pids: [Int32?]

    package init(count: Int) { pids = Array(repeating: nil, count: count) }
    package func isWatched(_ place: Int) -> Bool { pids[place] != nil }
    package mutating func watch(_ place: Int, _ identity: ProcessIdentity) {
      pids[place] = identity.pid
    }
    package mutating func takeEnded(_ body: (Int) -> Void) {
      for place in pids.indices {
        guard let pid = pids[place], Simulation.hasEnded(pid) else { continue }
        pids[place] = nil
        body(place)
      }
    }
    package func kill(_ place: Int) {}
  }

  /// A segment, in plain memory; of each name there is one. Its locks are those of the
  /// simulated processes, and go with them.
  @safe package struct SharedMemoryObject: ~Copyable {
    package enum LockKind { case shared, exclusive }

    package let name: String
    private let contents: Contents

    @safe private final class Contents {
      /// Of the simulator's memories.
      let number: UInt32
      var bytes: UInt64 = 0
      var base: UnsafeMutableRawPointer?
      var owners: [Int64: [Int32]] = [:]
      init(number: UInt32) { self.number = number }
    }
    nonisolated(unsafe) private static var all: [String: Contents] = [:]

    private init(name: String) {
      self.name = name
      if let known = unsafe Self.all[name] {
        contents = known
      } else {
        contents = Contents(number: UInt32(unsafe Self.all.count))
        unsafe Self.all[name] = contents
      }
    }

    package static func create(name: String, mark: UInt64, at offset: UInt64)
      throws(SystemError) -> SharedMemoryObject
    {
      let object = SharedMemoryObject(name: name)
      object.contents.bytes = 0
      object.contents.owners = [:]
      return object
    }

    package static func isPath(_ name: String) -> Bool { false }
    package static func strangeKind(_ name: String) -> String? { nil }
    package static func createUnnamed(label: String) throws(SystemError) -> SharedMemoryObject {
      try create(name: label, mark: 0, at: 0)
    }
    package func sealSize() throws(SystemError) {}

    package static func open(name: String) throws(SystemError) -> SharedMemoryObject {
      SharedMemoryObject(name: name)
    }

    package static func unlink(name: String) {}
    package static func age(_ name: String) -> Duration? { nil }
    package func isStillNamed() -> Bool { true }
    package func size() throws(SystemError) -> UInt64 { contents.bytes }
    package func allocatedBytes() -> UInt64 { contents.bytes }
    package func availableBytes() -> UInt64 { 0 }
    package func reserve(offset: UInt64, bytes: UInt64) throws(SystemError) {}

    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64 = 0) -> Bool {
      guard let base = unsafe contents.base, offset + UInt64(buffer.count) <= contents.bytes
      else { return false }
      unsafe buffer.copyMemory(
        from: UnsafeRawBufferPointer(start: base + Int(offset), count: buffer.count))
      return true
    }

    package func setSize(_ bytes: UInt64) throws(SystemError) {
      guard let memory = unsafe sim_memory(contents.number, bytes) else {
        throw SystemError("sim_memory", name, errno: SystemError.noSpace)
      }
      unsafe contents.base = unsafe memory
      contents.bytes = bytes
    }

    var memory: UnsafeMutableRawPointer? { unsafe contents.base }

    package func tryLock(byte: Int64, _ kind: LockKind) -> Bool {
      let others = contents.owners[byte, default: []].filter {
        $0 != Simulation.pid && !Simulation.hasEnded($0)
      }
      if kind == .exclusive && !others.isEmpty { return false }
      contents.owners[byte] = others + [Simulation.pid]
      return true
    }

    package func unlock(byte: Int64) {
      contents.owners[byte, default: []].removeAll { $0 == Simulation.pid }
    }

    package func giveUpWriting(shared: Int64) -> Bool { true }

    package func isLocked(byte: Int64) -> Bool {
      contents.owners[byte, default: []].contains {
        $0 != Simulation.pid && !Simulation.hasEnded($0)
      }
    }
  }

  /// All of that memory, writable: the simulator checks each store of a word,
  /// and other tests that a process can write its own sections alone.
  @safe package struct Mapping: ~Copyable {
    package let base: UnsafeRawPointer
    package let bytes: UInt64

    package init(_ object: borrowing SharedMemoryObject, bytes: UInt64) throws(SystemError) {
      guard let memory = unsafe object.memory else {
        throw SystemError("mmap", object.name, errno: SystemError.notFound)
      }
      unsafe base = UnsafeRawPointer(memory)
      self.bytes = bytes
    }

    package func makeWritable(
      _ object: borrowing SharedMemoryObject, offset: UInt64, bytes: UInt64
    ) throws(SystemError) {
      precondition(offset &+ bytes <= self.bytes, "writable range beyond the mapping")
    }

    package func populate(offset: UInt64, bytes: UInt64) {}
    package func leaveInParent(
      _ object: borrowing SharedMemoryObject, hidden: UInt64, endsWithParent: Bool,
      whenForked: (@Sendable () -> Void)? = nil
    ) {}
  }

  package func systemPageBytes() -> UInt32 { 4096 }
#endif
