internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Looks at a session for a while; one that waits for another rank is followed there, where that
/// rank is on this machine.
package func observeRanks(_ reader: PictureReader, seconds: Double) -> Diagnosis {
  let (picture, first) = observe(reader, seconds: seconds)
  var diagnosis = first
  var seen: Set<Int> = [Int(reader.configuration.rank)]
  var last = (reader: reader, picture: picture)
  var peer = first.peer
  while let rank = peer, diagnosis.cause == .otherRank {
    guard seen.insert(rank).inserted else {
      diagnosis.chain.append("Rank \(rank) waits for another one that waits for it.")
      break
    }
    guard let other = otherRank(rank, of: last.reader, last.picture) else { break }
    let (seenThere, next) = observe(other, seconds: seconds)
    // One that gets on says nothing about why this one waits.
    guard next.verdict != .progress, next.cause != .unknown else {
      diagnosis.chain.append("Rank \(rank) (segment \(other.place)): \(next.summary).")
      break
    }
    diagnosis = diagnosis.followed(by: next, rank: rank, segment: other.place)
    last = (other, seenThere)
    peer = next.peer
  }
  return diagnosis
}

extension Diagnosis {
  /// What holds the other rank up is what holds this one up.
  fileprivate func followed(by next: Diagnosis, rank: Int, segment: String) -> Diagnosis {
    var whole = self
    whole.verdict = next.verdict == .finished ? .stuck : next.verdict
    if next.cause != .finished { whole.cause = next.cause }
    whole.summary = "rank \(rank): \(next.summary)"
    whole.chain.append("Rank \(rank) (segment \(segment)): \(next.summary).")
    whole.chain += next.chain
    whole.advice = next.advice
    (whole.task, whole.ring) = (next.task, next.ring)
    (whole.core, whole.kernel, whole.pid) = (next.core, next.kernel, next.pid)
    whole.rank = rank
    whole.damage += next.damage.map { "rank \(rank): \($0)" }
    whole.peer = next.peer
    return whole
  }
}

/// The session of another rank: the one whose name differs in the rank alone; where the name does
/// not have it, the only one of that rank that is made alike.
private func otherRank(
  _ rank: Int, of reader: PictureReader, _ picture: Picture
) -> PictureReader? {
  func open(_ name: String) -> PictureReader? {
    guard let other = try? PictureReader(name) else { return nil }
    var expected = reader.configuration
    expected.rank = UInt32(rank)
    return other.configuration == expected ? other : nil
  }
  let mark = ".r\(reader.configuration.rank)"
  if reader.place.hasSuffix(mark) {
    return open(String(reader.place.dropLast(mark.count)) + ".r\(rank)")
  }
  if reader.place.contains("/") { return nil }
  let all = Segment.names().compactMap(open).filter {
    $0.picture().session.isAttached == picture.session.isAttached
  }
  return all.count == 1 ? all[0] : nil
}
