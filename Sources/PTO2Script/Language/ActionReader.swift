internal import Glibc
internal import PTO2Faults
internal import PTO2Protocol
internal import PTO2Segment

extension Action {
  static let signals: [(name: String, number: Int32)] = [
    ("KILL", SIGKILL), ("TERM", SIGTERM), ("INT", SIGINT), ("HUP", SIGHUP), ("QUIT", SIGQUIT),
    ("STOP", SIGSTOP), ("CONT", SIGCONT), ("ABRT", SIGABRT), ("SEGV", SIGSEGV), ("BUS", SIGBUS),
    ("ILL", SIGILL), ("FPE", SIGFPE), ("USR1", SIGUSR1), ("USR2", SIGUSR2), ("PIPE", SIGPIPE),
    ("ALRM", SIGALRM),
  ]

  init(_ node: YAMLNode) throws(TextError) {
    place = node.place
    var members = try Entries(node, "an action")
    when = try members.take("when").map { (node) throws(TextError) in try When(node) } ?? .now
    if let node = members.take("signal") {
      let name = try node.text("a signal, such as KILL")
      guard let signal = Self.signals.first(where: { $0.name == name }) else {
        throw node.expected(Self.signals.map(\.name).joined(separator: ", "))
      }
      what = .signal(signal.number, name: name, try Process(try members.need("to")))
    } else if let node = members.take("stuck") {
      what = .stuck(try node.text("a part of what pto2 stuck says"))
    } else if let node = members.take("start") {
      what = try Self.start(node, &members)
    } else {
      what = .nothing
    }
    try members.finish()
    if case .nothing = what, case .now = when {
      throw TextError(node.place, "an action has \"signal\", \"start\", \"stuck\" or \"when\"")
    }
  }

  private static func start(_ node: YAMLNode, _ members: inout Entries) throws(TextError) -> What {
    var status: Int? = 0
    if let node = members.take("status") {
      if case .text("any") = node.value {
        status = nil
      } else {
        status = try node.whole("a status", 0...255)
      }
    }
    switch try node.text("scheduler or worker") {
    case "scheduler": return .start(.scheduler, cores: [], status: status)
    case "worker":
      var cores: [String] = []
      for node in try members.need("cores").listOrOne { cores.append(try Process.core(node)) }
      guard let first = cores.first else { throw node.expected("a core") }
      return .start(.worker(first), cores: cores, status: status)
    default: throw node.expected("scheduler or worker")
    }
  }
}

extension Action.Process {
  /// `orchestrator`, `scheduler`, `worker aiv0`
  fileprivate init(_ node: YAMLNode) throws(TextError) {
    let text = try node.text("a process, such as worker aiv0")
    switch text {
    case "orchestrator": self = .orchestrator
    case "scheduler": self = .scheduler
    default:
      guard text.hasPrefix("worker "), coreIndex(named: String(text.dropFirst(7))) != nil else {
        throw node.expected("orchestrator, scheduler, or a worker such as \"worker aiv0\"")
      }
      self = .worker(String(text.dropFirst(7)))
    }
  }

  fileprivate static func core(_ node: YAMLNode) throws(TextError) -> String {
    let name = try node.text("a core, such as aiv0")
    guard coreIndex(named: name) != nil else { throw node.expected("a core, such as aiv0") }
    return name
  }
}

extension Action.When {
  fileprivate init(_ node: YAMLNode) throws(TextError) {
    switch node.value {
    case .text("waiting"):
      self = .waiting
      return
    case .text("previous"):
      self = .previous
      return
    default: break
    }
    var members = try Entries(node, "a condition")
    let most = 1 << 32
    if let node = members.take("seconds") {
      self = .seconds(try node.number("seconds from 0 to 600", 0...600))
    } else if let node = members.take("submitted") {
      self = .submitted(try node.whole("tasks", 0...most))
    } else if let node = members.take("released") {
      self = .released(try node.whole("tasks", 0...most))
    } else if let node = members.take("consumed") {
      self = .consumed(try node.whole("tasks", 0...most))
    } else if let node = members.take("running") {
      let name = try node.text("a kernel")
      self = .running(
        BuiltIn(rawValue: name).map {
          [$0.kernelName(isMatrix: false), $0.kernelName(isMatrix: true)]
        }
          ?? [name])
    } else if let node = members.take("attached") {
      self = .attached(try Action.Process(node))
    } else if let node = members.take("says") {
      self = .says(try node.text())
    } else {
      try members.finish()
      throw node.expected("a condition, such as {released: 10}, waiting or previous")
    }
    try members.finish()
  }
}
