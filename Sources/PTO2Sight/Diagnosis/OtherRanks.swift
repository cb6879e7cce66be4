internal import PTO2Protocol
internal import PTO2Segment
internal import PTO2System

/// Looks at a session for a while; one that waits for another rank is followed there, where that
/// rank is on this machine.
package func observeRanks(_ reader: PictureReader, seconds: Double) -> Diagnosis {
  let (picture, first) = observe(reader, seconds: seconds)
  var diagnosis = first
  var seen: Set<Int> = [Int(reader.configuration.rank)]
  var place = picture.place
  var peer = first.peer
  while let rank = peer, diagnosis.cause == .otherRank {
    guard seen.insert(rank).inserted else {
      diagnosis.chain.append(
        "Rank \(rank) waits for another that waits for it: the programs of the ranks differ.")
      break
    }
    guard let other = otherRank(rank, of: place, reader.configuration) else { break }
    let (_, next) = observe(other, seconds: seconds)
    // One that gets on says nothing about why this one waits.
    guard next.verdict != .progress, next.cause != .unknown else {
      diagnosis.chain.append("Rank \(rank) (segment \(other.place)): \(next.summary).")
      break
    }
    diagnosis = diagnosis.followed(by: next, rank: rank, segment: other.place)
    place = other.place
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
    (whole.core, whole.kernel, whole.pid) = (next.core, next.kernel, next.pid)
    whole.damage += next.damage.map { "rank \(rank): \($0)" }
    whole.peer = next.peer
    return whole
  }
}

/// The session of another rank: the one whose name differs in the rank alone, or the only one of
/// that rank.
private func otherRank(
  _ rank: Int, of place: String, _ configuration: Configuration
) -> PictureReader? {
  func open(_ name: String) -> PictureReader? {
    guard let reader = try? PictureReader(name),
      reader.configuration.ranks == configuration.ranks, Int(reader.configuration.rank) == rank
    else { return nil }
    return reader
  }
  let mark = ".r\(configuration.rank)"
  if place.hasSuffix(mark), let found = open(String(place.dropLast(mark.count)) + ".r\(rank)") {
    return found
  }
  if place.contains("/") { return nil }
  let all = Segment.names().compactMap(open)
  return all.count == 1 ? all[0] : nil
}
