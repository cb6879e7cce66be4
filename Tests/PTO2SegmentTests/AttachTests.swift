import CPTO2Segment
import Glibc
import Harness
import PTO2Segment
import PTO2System
import Testing

@Suite struct AttachTests {
  @Test func schedulerAndWorkerSeeWhatTheCreatorMade() throws {
    var configuration = smallConfiguration(rings: 3, clusters: 2)
    configuration.firstPosition = 0xFFFF_FFF0
    configuration.lanes = 5
    try withSegment(configuration) { segment, name in
      for role in [RoleSet.scheduler, .worker] {
        let other = try Segment.attach(name: name, role: role, timeoutMilliseconds: 0)
        #expect(other.layout == segment.layout)
        #expect(other.configuration == segment.configuration)
        #expect(other.configuration == configuration)
        let creator = other.creator()
        #expect(creator == ProcessIdentity.current())
        let dispatchBase = other.dispatchBase()
        #expect(dispatchBase == segment.layout.dispatchBase)
        #expect(other.name == name)
      }
    }
  }

  @Test func missingNameIsNotFound() {
    let name = uniqueSegmentName()
    let error = segmentError {
      _ = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 1)
    }
    guard case .notFound(name, 1) = error else {
      Issue.record("expected notFound, got \(String(describing: error))")
      return
    }
  }

  @Test func segmentWithoutMagicHasADeadCreator() throws {
    let name = uniqueSegmentName()
    let segment = try Segment.create(name: name, configuration: smallConfiguration(), images: [])
    defer { segment.unlink() }
    let error = segmentError {
      _ = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 0)
    }
    guard case .creatorDied(name) = error else {
      Issue.record("expected creatorDied, got \(String(describing: error))")
      return
    }
  }

  /// What a process has open may outlive it for a moment. For good it is a process that
  /// cannot be seen from here.
  @Test(arguments: [(UInt64(50), true), (2000, false)])
  func lockOfADeadCreatorIsWaitedForALittle(milliseconds: UInt64, isExpected: Bool) throws {
    try withSegment { segment, name in
      let lock = LockByte.orchestrator.position
      let holder = LockHolder(try SharedMemoryObject.open(name: "/" + name))
      segment.object.unlock(byte: lock)
      let isHeld = holder.object.tryLock(byte: lock, .exclusive)
      try #require(isHeld)
      var stranger = header(segment)
      stranger.creator_start_time += 1
      let size = MemoryLayout<pto2_header>.size
      #expect(pwrite(holder.object.descriptor, &stranger, size, 0) == size)
      let thread = try spawnThread("lock") {
        sleepNanoseconds(milliseconds * 1_000_000)
        holder.object.unlock(byte: lock)
      }
      do throws(SegmentError) {
        _ = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 0)
        #expect(isExpected)
      } catch {
        #expect(!isExpected)
        #expect("\(error)".contains("in the same PID and time namespace"))
      }
      thread.join()
    }
  }

  private final class LockHolder: Sendable {
    let object: SharedMemoryObject
    init(_ object: consuming SharedMemoryObject) { self.object = object }
  }

  /// A main thread that has ended makes a zombie of its process before the others have.
  @Test func processLivesAsLongAsAThreadOfIt() throws {
    let child = Command(
      "python3",
      [
        "-c",
        """
        import ctypes, threading, time
        threading.Thread(target=time.sleep, args=(60,)).start()
        ctypes.CDLL(None).pthread_exit(None)
        """,
      ], isOnPath: true)
    let path = "/proc/\(child.pid)/stat"
    let deadline = time(nil) + Command.watchdogSeconds
    while !readFile(path).contains(") Z ") && time(nil) < deadline { usleep(2000) }
    let identity = ProcessIdentity(
      pid: child.pid, startTime: try #require(ProcessIdentity.startTime(of: child.pid)))
    #expect(readFile(path).contains(") Z "), "not exercised")
    #expect(!identity.isGone)
    #expect(identity.isAlive)
    #expect(identity.activity().activity == .running)
    kill(child.pid, SIGKILL)
    _ = child.wait()
    #expect(identity.isGone)
  }

  @Test func somethingElseIsNotASegment() throws {
    let name = uniqueSegmentName()
    let other = try SharedMemoryObject.create(name: "/" + name, mark: 0, at: 4088)
    defer { SharedMemoryObject.unlink(name: "/" + name) }
    try other.setSize(8192)
    var bytes = [UInt8](repeating: 7, count: 8)
    #expect(pwrite(other.descriptor, &bytes, 8, 0) == 8)
    let error = segmentError {
      _ = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 0)
    }
    guard case .notASegment(name, 0x0707_0707_0707_0707) = error else {
      Issue.record("expected notASegment, got \(String(describing: error))")
      return
    }
  }

  @Test func truncatedObjectIsRefused() throws {
    try withSegment { segment, name in
      try segment.object.setSize(segment.layout.totalBytes - 4096)
      let error = segmentError {
        _ = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 0)
      }
      guard case .truncated(let expected, let found) = error else {
        Issue.record("expected truncated, got \(String(describing: error))")
        return
      }
      #expect(expected == segment.layout.totalBytes && found == expected - 4096)
    }
  }

  @Test func secondSchedulerIsRefusedWhileTheFirstLives() throws {
    try withSegment { _, name in
      do {
        let first = try Segment.attach(name: name, role: .scheduler, timeoutMilliseconds: 0)
        let error = segmentError {
          _ = try Segment.attach(name: name, role: .scheduler, timeoutMilliseconds: 0)
        }
        guard case .roleTaken = error else {
          Issue.record("expected roleTaken, got \(String(describing: error))")
          return
        }
        let hasPeers = first.hasPeers()
        #expect(hasPeers)
      }
      _ = try Segment.attach(name: name, role: .scheduler, timeoutMilliseconds: 0)
    }
  }

  @Test func coreIsHostedByOneWorkerAtATime() throws {
    try withSegment { _, name in
      let second = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 0)
      do {
        let first = try Segment.attach(name: name, role: .worker, timeoutMilliseconds: 0)
        _ = try first.openCore(1)
        let error = segmentError { _ = try second.openCore(1) }
        guard case .roleTaken(let what) = error else {
          Issue.record("expected roleTaken, got \(String(describing: error))")
          return
        }
        #expect(what.contains("aiv0"))
        _ = try second.openCore(2)
      }
      _ = try second.openCore(1)
    }
  }

  private final class Holder: @unchecked Sendable {
    var segment: Segment?
  }

  /// As after a death: the lock goes when the dead process's memory does, and that
  /// may be kept by whoever reads its command line.
  @Test(arguments: [true, false])
  func placeThatBecomesFreeAMomentLaterIsTaken(isScheduler: Bool) throws {
    try withSegment { _, name in
      let holder = Holder()
      let role: RoleSet = isScheduler ? .scheduler : .worker
      holder.segment = try Segment.attach(name: name, role: role, timeoutMilliseconds: 0)
      if !isScheduler { _ = try holder.segment!.openCore(2) }
      var thread = pthread_t()
      pthread_create(
        &thread, nil,
        { context in
          usleep(100_000)
          Unmanaged<Holder>.fromOpaque(context!).takeRetainedValue().segment = nil
          return nil
        }, Unmanaged.passRetained(holder).toOpaque())
      let next = try Segment.attach(name: name, role: role, timeoutMilliseconds: 0)
      if !isScheduler { _ = try next.openCore(2) }
      pthread_join(thread, nil)
    }
  }

  // MARK: Header checks, one by one

  struct Damage: Sendable, CustomTestStringConvertible {
    var name: String
    var change: @Sendable (inout pto2_header, inout UInt64) -> Void
    var isExpected: @Sendable (SegmentError) -> Bool
    var testDescription: String { name }
  }

  static let damages: [Damage] = [
    Damage(name: "magic") { header, _ in
      header.magic ^= 1
    } isExpected: {
      if case .notASegment = $0 { true } else { false }
    },
    Damage(name: "major version") { header, _ in
      header.segment_major += 1
    } isExpected: {
      if case .wrongVersion((3, 0), (2, 0)) = $0 { true } else { false }
    },
    Damage(name: "page size") { header, _ in
      header.page_bytes = 512
    } isExpected: {
      if case .wrongPageSize(512, _) = $0 { true } else { false }
    },
    Damage(name: "object too small") { _, size in
      size -= 1
    } isExpected: {
      if case .truncated = $0 { true } else { false }
    },
    Damage(name: "total size that the layout does not have") { header, _ in
      header.total_bytes -= 4096
    } isExpected: {
      if case .truncated = $0 { true } else { false }
    },
    Damage(name: "layout hash") { header, _ in
      header.layout_hash &+= 1
    } isExpected: {
      if case .wrongLayout = $0 { true } else { false }
    },
    Damage(name: "descriptors elsewhere") { header, _ in
      header.dispatch.dispatch_base = UInt64.max
    } isExpected: {
      if case .wrongLayout(UInt64.max, _) = $0 { true } else { false }
    },
    Damage(name: "configuration that gives another layout") { header, _ in
      header.configuration.arena_bytes += 4096
    } isExpected: {
      if case .wrongLayout = $0 { true } else { false }
    },
    Damage(name: "no rings") { header, _ in
      header.configuration.rings = 0
    } isExpected: {
      if case .invalidHeader(let error) = $0 { error.variable == "rings" } else { false }
    },
    Damage(name: "too many rings") { header, _ in
      header.configuration.rings = UInt32.max
    } isExpected: {
      if case .invalidHeader(let error) = $0 { error.variable == "rings" } else { false }
    },
    Damage(name: "window that is no power of two") { header, _ in
      header.configuration.task_window.1 = 5
    } isExpected: {
      if case .invalidHeader(let error) = $0 {
        error.variable.hasPrefix("PTO2_RING_TASK_WINDOW") && error.value == "5"
      } else {
        false
      }
    },
    Damage(name: "consumed window below the main window") { header, _ in
      header.configuration.consumed_window.0 = 2
    } isExpected: {
      if case .invalidHeader(let error) = $0 {
        error.variable.hasPrefix("PTO2_RING_CONSUMED_WINDOW")
      } else {
        false
      }
    },
    Damage(name: "log capacity") { header, _ in
      header.configuration.log_capacity = 7
    } isExpected: {
      if case .invalidHeader(let error) = $0 { error.variable == "log capacity" } else { false }
    },
    Damage(name: "images") { header, _ in
      header.configuration.image_count = 1000
    } isExpected: {
      if case .invalidHeader(let error) = $0 { error.variable == "images" } else { false }
    },
  ]

  @Test(arguments: damages)
  func damagedHeaderIsRefusedWithItsError(damage: Damage) throws {
    try withSegment { segment, _ in
      var header = header(segment)
      var size = segment.layout.totalBytes
      _ = try Segment.check(header, size: size)
      damage.change(&header, &size)
      let error = segmentError { _ = try Segment.check(header, size: size) }
      #expect(error.map(damage.isExpected) == true, "got \(String(describing: error))")
      #expect(error.map { !"\($0)".isEmpty } == true)
    }
  }

  @Test func randomHeaderBytesNeverCrashTheCheck() throws {
    try withSegment { segment, _ in
      var random = SplitMix64(seed: 1)
      let good = header(segment)
      for _ in 0..<2000 {
        var header = good
        withUnsafeMutableBytes(of: &header) { bytes in
          for _ in 0..<Int.random(in: 1...8, using: &random) {
            // Beyond the magic, within the fields that are checked.
            bytes[Int.random(in: 8..<296, using: &random)] = .random(in: 0...255, using: &random)
          }
        }
        _ = try? Segment.check(header, size: segment.layout.totalBytes)
      }
    }
  }
}
