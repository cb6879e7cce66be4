// One rank of several: mpirun starts it, and it starts a real pto2-link, for which it plays
// orchestrator and scheduler.
//
//   mpirun -n 3 pto2-ranks check     transfers of all kinds between all ranks, verified
//   mpirun -n 2 pto2-ranks time      what a transfer takes, and what an idle link takes
//   mpirun -n 2 pto2-ranks diverge   the programs differ: error 212
//   mpirun -n 2 pto2-ranks fail      a run fails, with a transfer under way: all leave together
//   mpirun -n 2 pto2-ranks silent    the last rank's link is stopped: error 214
//   mpirun -n 2 pto2-ranks die       the last rank's process is killed; `die-link`: its link
//   mpirun -n 2 pto2-ranks term      its link is told to end
//
// A rank prints what it finds; its status is 0 when that is as it should be.
import CPTO2Segment
import Glibc
import Harness
import PTO2Protocol
import PTO2Segment
import PTO2System
import PlayedRank

let mode = CommandLine.arguments.dropFirst().first ?? "check"
guard let rank = environment("OMPI_COMM_WORLD_RANK").flatMap({ Int($0) }),
  let ranks = environment("OMPI_COMM_WORLD_SIZE").flatMap({ Int($0) })
else { fail("start it with mpirun") }
let played = try PlayedRank(
  name: "ranks", rank: rank, of: ranks, arenaBytes: 64 << 20, isUnnamed: true)
var variables: [String: String] = [:]
for variable in ["PTO2_PEER_TIMEOUT", "PTO2_LINK"] {
  if let value = environment(variable) { variables[variable] = value }
}
nonisolated(unsafe) var link: Command! = Command(
  "pto2-link", ["--segment", played.name, "--parent", "\(getpid())"], environment: variables)
// With its files.
atexit { link = nil }

@MainActor func say(_ text: String) { writeOutput("rank \(rank): \(text)\n") }

func fail(_ text: String) -> Never {
  writeError("pto2-ranks: \(text)")
  exit(1)
}

/// Looks every 50 us, at most a minute.
@MainActor func wait(_ what: String, until isThere: () -> Bool) {
  let deadline = Deadline(afterMilliseconds: 60_000)
  while !isThere() {
    if played.linkControl == PTO2_LINK_FATAL { return }
    if !link.isRunning { fail("rank \(rank): the link has ended: \(link.errors)") }
    if deadline.hasPassed { fail("rank \(rank): \(what) does not come") }
    usleep(50)
  }
}

@MainActor func meet() {
  let number = played.answered + 1
  played.meet()
  wait("meeting \(number)") { played.answered == number }
  checkError()
}

/// Not to be there.
@MainActor func checkError() {
  if let error = played.linkError { fail("rank \(rank): \(error)") }
}

@MainActor func end(_ control: UInt32 = PTO2_CONTROL_DONE, status: Int32 = 0) -> Never {
  played.control(control)
  guard let ended = link.end(within: 60) else { fail("rank \(rank): the link does not end") }
  if !link.errors.isEmpty { writeError(link.errors) }
  if ended != status {
    fail("rank \(rank): the link has ended with \(ended), and \(status) was expected")
  }
  exit(0)
}

wait("the link") { played.linkControl == PTO2_LINK_READY }
checkError()
meet()
guard (0..<ranks).allSatisfy({ played.met($0).number == 1 }) else { fail("who has met?") }

switch mode {
case "check": check()
case "time": time()
case "diverge":
  for number in 0..<3000 as Range<UInt64> {
    played.submit(number == 2345 ? UInt64(rank) : number, on: UInt8(number % 2))
  }
  played.start(.receive, (rank + 1) % ranks, played.tensor(at: 0, [8]))
  wait("the error") { false }
  say("\(played.linkError!), echo \(played.isLinkErrorEcho)")
  played.meet(code: played.linkError!.number, isEcho: played.isLinkErrorEcho)
  end(PTO2_CONTROL_FATAL, status: played.linkError!.exitStatus)
case "fail":
  if rank == 0 { played.start(.send, 1, played.tensor(at: 0, [3 << 20])) }
  played.meet(code: PTO2ErrorCode.explicitOrchFatal.rawValue, isEcho: rank > 0, text: "no more")
  wait("the meeting") { played.answered == 2 }
  checkError()
  say("has met with error \(played.met(0).code)")
  end(PTO2_CONTROL_FATAL, status: 0)
case "silent", "die", "die-link", "term":
  if rank == ranks - 1 {
    usleep(200_000)
    if mode == "die" { kill(getpid(), SIGKILL) }
    link.signal(mode == "silent" ? SIGSTOP : mode == "term" ? SIGTERM : SIGKILL)
    let deadline = Deadline(afterMilliseconds: 20_000)
    while !deadline.hasPassed && link.isRunning { usleep(1000) }
    if mode == "silent" { link.signal(SIGKILL) }
    if mode == "term" { say("\(played.linkError!)") }
    // As the supervisor does.
    exit(PTO2ErrorCode.linkDied.exitStatus)
  }
  played.start(.receive, ranks - 1, played.tensor(at: 0, [8]))
  wait("the error") { false }
  say("\(played.linkError!)")
  end(PTO2_CONTROL_FATAL, status: played.linkError!.exitStatus)
default: fail("\(mode): no such mode")
}

// MARK: Modes

/// What rank `from` sends to `to` there.
func pattern(_ from: Int, _ to: Int, _ place: UInt64) -> UInt8 {
  UInt8(truncatingIfNeeded: place &* 31 &+ UInt64(from * 7 + to * 3) &+ place >> 8)
}

@MainActor func check() -> Never {
  let sizes: [UInt64] = [0, 1, 2, 8, 4095, 4096, 4097, 70_000, 1 << 20, 3 << 20]
  let area: UInt64 = 5 << 20
  for round in 0..<3 {
    var count = 0
    var expected: Set<TaskID> = []
    for peer in 0..<ranks where peer != rank {
      let place = UInt64(peer) * 2 * area
      var at = place
      for (index, size) in sizes.enumerated() {
        played.fill(at..<at + size) { pattern(rank, peer, $0 - place) }
        // Each third one has nothing to send.
        played.start(
          .send, peer, size == 0 ? nil : played.tensor(at: at, [UInt32(size)]),
          isCancelled: index % 3 == round)
        at += size
      }
      // Every second row of a matrix of 64 rows of 512 bytes.
      played.fill(at..<at + 32768) { pattern(rank, peer, $0 - place) }
      played.start(.send, peer, played.tensor(at: at, [32, 512], strides: [1024, 1]))
      count += sizes.count + 1
    }
    var receives: [(peer: Int, index: Int)] = []
    for peer in 0..<ranks where peer != rank {
      receives += (0...sizes.count).map { (peer, $0) }
    }
    if round > 0 { receives.reverse() }
    if round == 2 { usleep(100_000) }
    for (peer, index) in receives {
      let place = UInt64(peer) * 2 * area + area
      let at = place + sizes[..<index].reduce(0, +)
      let sequence = UInt64(round * (sizes.count + 1) + index)
      if index == sizes.count {
        played.fill(at..<at + 32768) { _ in 0 }
        played.start(
          .receive, peer, played.tensor(at: at, [32, 512], strides: [1024, 1]),
          sequence: sequence)
      } else {
        played.fill(at..<at + sizes[index]) { _ in 0 }
        let task = played.start(
          .receive, peer,
          sizes[index] == 0 ? nil : played.tensor(at: at, [UInt32(sizes[index])]),
          sequence: sequence)
        if index % 3 == round { expected.insert(task) }
      }
      count += 1
    }
    var ends: [PlayedRank.End] = []
    wait("the end of \(count) transfers") {
      ends += played.takeEnds()
      return ends.count == count
    }
    checkError()
    let cancelled = Set(ends.filter(\.isCancelled).map(\.task))
    guard expected.isSubset(of: cancelled), cancelled.count == 2 * expected.count else {
      fail("rank \(rank): \(cancelled.count) transfers were cancelled")
    }
    for (peer, index) in receives {
      let place = UInt64(peer) * 2 * area + area
      let at = place + sizes[..<index].reduce(0, +)
      let size = index == sizes.count ? 32768 : sizes[index]
      for byte in at..<at + size {
        let isThere =
          index == sizes.count ? (byte - at) % 1024 < 512 : index % 3 != round
        let wanted = isThere ? pattern(peer, rank, byte - place) : 0
        guard played[byte] == wanted else {
          fail("rank \(rank): byte \(byte - at) of \(size) from rank \(peer) is \(played[byte])")
        }
      }
    }
    meet()
  }
  let traffic = played.owner.linkPage.traffic((rank + 1) % ranks)
  say("verified, \(traffic.received) transfers with the next rank, \(traffic.received_bytes) bytes")
  end()
}

@MainActor func cpuNanoseconds() -> UInt64 {
  let words = readFile("/proc/\(link.pid)/schedstat").split(separator: " ")
  return words.first.flatMap { UInt64($0) } ?? 0
}

@MainActor func time() -> Never {
  for size in [8, 4096, 65536, 4 << 20] as [UInt32] {
    let tensor = played.tensor(at: 0, [size])
    let count = size > 65536 ? 50 : 500
    var times: [UInt64] = []
    for _ in 0..<count {
      let begin = MonotonicClock.now()
      for direction in [TransferOrder.Direction.send, .receive] {
        played.start(
          rank == 0 ? direction : direction == .send ? .receive : .send, 1 - rank, tensor)
        while played.takeEnds().isEmpty { sched_yield() }
      }
      times.append(MonotonicClock.now() - begin)
      checkError()
    }
    times.sort()
    if rank == 0 { say("\(size) bytes there and back: median \(times[count / 2] / 1000) us") }
  }
  meet()
  let begin = (MonotonicClock.now(), cpuNanoseconds())
  usleep(5_000_000)
  func share(_ begin: (UInt64, UInt64)) -> String {
    let used = Double(cpuNanoseconds() - begin.1) / Double(MonotonicClock.now() - begin.0)
    return "\((used * 10000).rounded() / 100) %"
  }
  say("an idle link takes \(share(begin)) of a CPU")
  meet()
  // One rank waits for the other's message.
  let waiting = (MonotonicClock.now(), cpuNanoseconds())
  if rank == 0 { played.start(.receive, 1, played.tensor(at: 0, [8])) }
  usleep(5_000_000)
  say("\(rank == 0 ? "a waiting" : "an idle") link takes \(share(waiting)) of a CPU")
  if rank == 1 { played.start(.send, 0, played.tensor(at: 0, [8])) }
  wait("the last transfer") { !played.takeEnds().isEmpty }
  meet()
  end()
}
