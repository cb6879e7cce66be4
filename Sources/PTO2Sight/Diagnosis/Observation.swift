internal import PTO2System

/// Looks at a session for a while.
/// - Parameter seconds: how long, unless nobody lives in it: then one look is enough.
/// - Returns: the last picture, and what there is to say.
package func observe(_ reader: PictureReader, seconds: Double) -> (Picture, Diagnosis) {
  let first = reader.picture()
  guard first.session.isAttached else { return (first, diagnose(first)) }
  let looks = 10
  var pictures = [first]
  var lastMove = -1
  for look in 1...looks {
    sleepNanoseconds(UInt64(max(0.001, seconds / Double(looks)) * 1e9))
    let next = reader.picture()
    if Movement(from: [pictures.last!], to: next).progress != nil { lastMove = look }
    pictures.append(next)
    // It has ended meanwhile.
    if !next.session.isAttached { return (next, diagnose(next)) }
  }
  var last = pictures.removeLast()
  if lastMove > looks / 2 { return (last, diagnose(last, since: pictures)) }
  let still = Array(pictures[max(0, lastMove)...])
  // Between two sleeps the program's thread looks at the words: it waits all the same.
  if last.orchestrator.wait == nil, let waiting = still.last(where: { $0.orchestrator.wait != nil })
  {
    last.orchestrator.wait = waiting.orchestrator.wait
    last.orchestrator.target = waiting.orchestrator.target
  }
  return (last, diagnose(last, since: still))
}
