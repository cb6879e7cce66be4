internal import PTO2Protocol

/// What has been begun and is not known to be done.
struct Activity {
  enum Purpose {
    case send(Transfer)
    /// What is received into the segment itself, or into the buffer first.
    case receive(Transfer)
    case sendMeeting
    case sendWord
    case receiveMeeting
    case receiveWord
  }
  var purpose: Purpose
  var peer: Int
  var buffer: MessageBuffer?
  /// When it began.
  var since: UInt64

  var isTransfer: Bool {
    switch purpose {
    case .send, .receive: true
    default: false
    }
  }
}

/// All of them, with their requests. A step asks about so many as the transport takes at once,
/// in turn.
struct Activities {
  private var activities: [Activity] = []
  private var requests: [LinkRequest] = []
  private var next = 0
  private var done: [Int] = []

  var count: Int { requests.count }
  var isEmpty: Bool { requests.isEmpty }

  mutating func add(_ activity: Activity, _ request: LinkRequest) {
    activities.append(activity)
    requests.append(request)
  }

  /// Asks about some of them, and moves those that are done to `finished`.
  mutating func takeDone<Transport: LinkTransport & ~Copyable>(
    _ transport: inout Transport, into finished: inout [Activity]
  ) throws(LinkFault) {
    if requests.isEmpty { return }
    if next >= requests.count { next = 0 }
    let (first, end) = (next, min(next + LinkRequest.testedAtOnce, requests.count))
    done.removeAll(keepingCapacity: true)
    try transport.test(requests[first..<end], done: &done)
    // Those that began first are told first; then they go, from the end on.
    for index in done { finished.append(activities[first + index]) }
    for index in done.reversed() {
      activities.swapAt(first + index, activities.count - 1)
      requests.swapAt(first + index, requests.count - 1)
      activities.removeLast()
      requests.removeLast()
    }
    if done.isEmpty { next = end }
  }

  /// That of the request whose test has failed.
  func place(of fault: LinkFault) -> Activity? {
    guard let index = fault.index, next + index < activities.count else { return nil }
    return activities[next + index]
  }

  var all: [Activity] { activities }
}
