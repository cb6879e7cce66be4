internal import CPTO2Segment
package import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// When all ranks meet: before the first run, and at the end of each.
extension Orchestrator {
  /// There are other ranks.
  package var isRanked: Bool { !ranks.isAlone }

  /// Blocks until every rank is there, and sees that all are of one make.
  /// - Parameter description: what must be equal everywhere, in words.
  /// - Throws: `diverged` when it is not; what has ended the session.
  package mutating func meetAtStart(_ description: String) throws(PTO2Error) {
    if ranks.isAlone || ranks.isPretended { return }
    var hash = FNV1a()
    hash.add(description)
    let all = try meet(Meeting(number: 0, hash: hash.value, text: description), deadline: nil)
    guard let all, let other = all.firstIndex(where: { $0.hash != hash.value }) else { return }
    throw fault.fail(
      PTO2Error(
        .diverged,
        "rank \(other) was started in another way than rank \(ranks.own): there \(all[other].text); here \(description). Start one program with the same images and options on all ranks"
      ))
  }

  /// Tells the others how this rank's run has ended, and hears how theirs have.
  /// - Parameter error: the run's own; nil: it has ended well.
  /// - Returns: the error that the run ends with. One that another rank tells of itself is an
  ///   echo.
  package mutating func meetAtEnd(_ error: PTO2Error?) -> PTO2Error? {
    if ranks.isAlone { return error }
    if ranks.isPretended { return error }
    var own = Meeting(
      number: 0, code: error?.number ?? 0, isEcho: error?.isEcho ?? false,
      submissions: ranks.submissions, hash: ranks.hash.value, text: error?.message ?? "")
    own.traffic = traffic
    // Who has failed does not wait for those that do not come; least of all when mpirun(1)
    // ends all ranks, and kills them a second later.
    let patience: UInt64 = error?.code == .interrupted ? 300 : 3000
    let deadline = error == nil ? nil : Deadline(afterMilliseconds: patience)
    if error?.code == .linkDied { return error }
    let all: [Meeting]?
    do throws(PTO2Error) { all = try meet(own, deadline: deadline) } catch { return error }
    guard let all else { return error }
    if error == nil, all.allSatisfy({ $0.code == 0 }),
      let other = all.firstIndex(where: {
        $0.submissions != own.submissions || $0.hash != own.hash
      })
    {
      return fault.fail(
        PTO2Error(
          .diverged,
          "rank \(other) has submitted \(all[other].submissions) tasks, and rank \(ranks.own) \(own.submissions) that differ: the ranks do not run the same program"
        ))
    }
    ranks.traffic = all.map(\.traffic)
    return outcome(of: all, error)
  }

  private func outcome(of all: [Meeting], _ own: PTO2Error?) -> PTO2Error? {
    let speaker =
      all.firstIndex { $0.code != 0 && !$0.isEcho } ?? all.firstIndex { $0.code != 0 }
    guard let speaker else { return own }
    if var own {
      own.isEcho = speaker != ranks.own
      return own
    }
    let record = all[speaker]
    let text = "rank \(speaker): \(record.text)"
    var error =
      PTO2ErrorCode(rawValue: record.code).map { PTO2Error($0, text) }
      ?? PTO2Error(programCode: record.code, text) ?? PTO2Error(.rankDied, text)
    error.isEcho = true
    return error
  }

  /// What this rank has done.
  private var traffic: Meeting.Traffic {
    var traffic = Meeting.Traffic()
    traffic.tasks = ranks.tasksHere
    for rank in 0..<ranks.count {
      let record = segment.linkPage.traffic(rank)
      traffic.transfers += record.sent
      traffic.sentBytes += record.sent_bytes
      traffic.receivedBytes += record.received_bytes
    }
    return traffic
  }

  /// What each rank has done, by rank, once the run has ended well; empty of a rank alone.
  package var rankTraffic: [Meeting.Traffic] { ranks.traffic }

  /// - Returns: what every rank has said, by rank; nil when the deadline has passed.
  private mutating func meet(_ meeting: Meeting, deadline: Deadline?) throws(PTO2Error)
    -> [Meeting]?
  {
    let number = ranks.ask(meeting)
    let link = segment.linkPage
    let control = segment.orchestratorPage.control
    let isFailing = meeting.code != 0
    var words = WaitSet()
    while true {
      let seen = link.answered.loadAcquire()
      let state = link.control.loadAcquire()
      if seen == number && state != PTO2_LINK_FATAL {
        return (0..<ranks.count).map { link.met($0) }
      }
      if state == PTO2_LINK_FATAL || state == PTO2_LINK_STOPPED {
        if isFailing { return nil }
        throw segment.linkError ?? PTO2Error(.linkDied, "the link has left before the run was over")
      }
      if fault.hasFailed && !isFailing { try fault.check() }
      if let deadline, deadline.hasPassed { return nil }
      words.removeAll()
      words.insert(link.answered, while: seen)
      words.insert(link.control, while: state)
      words.insert(control, while: PTO2_CONTROL_RUNNING)
      words.wait(timeoutNanoseconds: 20_000_000)
    }
  }
}
