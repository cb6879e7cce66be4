import CPTO2Linux
import Glibc
import Harness
import PTO2Faults
import PTO2System
import Testing

/// Chromium without a window, told what to do in the messages of its developer tools over two
/// pipes: there is no port, and nothing but the pages of the test is asked for.
final class Browser {
  struct Failure: Error, CustomStringConvertible { var description: String }

  static let path: String? = ["chromium-headless-shell", "chromium", "google-chrome"].lazy
    .map { "/usr/bin/\($0)" }.first { access($0, X_OK) == 0 }
  static let isThere = path != nil
  static let missing: Comment = "no Chromium: Scripts/setup.sh installs it"

  private let folder = Command.temporaryDirectory()
  private let pid: pid_t
  private let (commands, replies): (Int32, Int32)
  private var received: [UInt8] = []
  private var count = 0
  private var session = ""
  /// What a page has thrown or was refused.
  private(set) var complaints: [String] = []

  init() throws {
    guard let path = Self.path else { throw Failure(description: "\(Self.missing)") }
    var ends: [Int32] = []
    for _ in 0..<2 {
      var pair: (Int32, Int32) = (0, 0)
      let status = withUnsafeMutableBytes(of: &pair) {
        pto2_pipe($0.baseAddress!.assumingMemoryBound(to: Int32.self), 1)
      }
      guard status == 0 else { throw Failure(description: "no pipe") }
      ends += [pair.0, pair.1]
    }
    // Out of the way of 3 and 4, where the browser looks for them.
    let theirs = [ends[0], ends[3]].map { fcntl($0, F_DUPFD_CLOEXEC, 20) }
    close(ends[0])
    close(ends[3])
    (commands, replies) = (ends[1], ends[2])
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    for descriptor in [Int32(1), 2] {
      posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_WRONLY, 0)
    }
    for (place, end) in theirs.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, end, Int32(3 + place))
    }
    let words = [
      path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
      "--remote-debugging-pipe", "--user-data-dir=\(folder)", "about:blank",
    ]
    var argv = words.map { strdup($0) } + [nil]
    let settings = ["HOME=\(folder)", "TMPDIR=\(folder)", "LANG=C.UTF-8"]
    var variables = settings.map { strdup($0) } + [nil]
    defer { for pointer in argv + variables { free(pointer) } }
    var child: pid_t = 0
    let status = posix_spawn(&child, path, &actions, nil, &argv, &variables)
    for end in theirs { close(end) }
    pid = child
    guard status == 0 else { throw Failure(description: "cannot start \(path)") }
    let targets = try call("Target.getTargets")
    let page = targets.member("targetInfos")?.items.first { $0.member("type")?.text == "page" }
    let target = try #require(page?.member("targetId")?.text)
    session = try #require(
      call("Target.attachToTarget", #""targetId":"\#(target)","flatten":true"#)
        .member("sessionId")?.text)
    for domain in ["Page", "Runtime", "Log"] { _ = try call(domain + ".enable") }
  }

  deinit {
    close(commands)
    close(replies)
    let deadline = Deadline(afterMilliseconds: 5000)
    while waitpid(pid, nil, WNOHANG) == 0 {
      if deadline.hasPassed { kill(pid, SIGKILL) }
      usleep(1000)
    }
    _ = Command.run("/bin/rm", ["-rf", folder])
  }

  // MARK: Messages

  /// - Parameter parameters: members of a JSON object.
  /// - Returns: the result.
  @discardableResult
  private func call(_ method: String, _ parameters: String = "") throws -> JSONNode {
    count += 1
    let owner = session.isEmpty ? "" : #","sessionId":"\#(session)""#
    let message = #"{"id":\#(count),"method":"\#(method)","params":{\#(parameters)}\#(owner)}"#
    let bytes = Array(message.utf8) + [0]
    guard write(commands, bytes, bytes.count) == bytes.count else {
      throw Failure(description: "the browser takes no command")
    }
    let deadline = Deadline(afterMilliseconds: 120_000)
    while true {
      let node = try next(before: deadline)
      if let method = node.member("method")?.text {
        note(method, node.member("params"))
      } else if node.member("id")?.number == Double(count) {
        if let result = node.member("result") { return result }
        let message = node.member("error")?.member("message")?.text ?? ""
        throw Failure(description: "\(method): \(message)")
      }
    }
  }

  private func note(_ method: String, _ parameters: JSONNode?) {
    if method == "Runtime.exceptionThrown" {
      let details = parameters?.member("exceptionDetails")
      complaints.append(
        details?.member("exception")?.member("description")?.text
          ?? details?.member("text")?.text ?? "an exception")
    } else if method == "Log.entryAdded", let entry = parameters?.member("entry"),
      entry.member("level")?.text == "error"
    {
      complaints.append(entry.member("text")?.text ?? "an error")
    }
  }

  private func next(before deadline: Deadline) throws -> JSONNode {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      if let end = received.firstIndex(of: 0) {
        let text = String(decoding: received[..<end], as: UTF8.self)
        received.removeSubrange(...end)
        return try JSONReader.parse(text)
      }
      var entry = pollfd(fd: replies, events: Int16(POLLIN), revents: 0)
      guard poll(&entry, 1, 100) >= 0, !deadline.hasPassed else {
        throw Failure(description: "the browser does not answer")
      }
      if entry.revents == 0 { continue }
      let size = read(replies, &buffer, buffer.count)
      guard size > 0 else { throw Failure(description: "the browser has ended") }
      received += buffer[..<size]
    }
  }

  // MARK: What a person does

  func open(_ address: String) throws { try call("Page.navigate", #""url":"\#(address)""#) }

  func resize(_ width: Int, _ height: Int) throws {
    try call(
      "Emulation.setDeviceMetricsOverride",
      #""width":\#(width),"height":\#(height),"deviceScaleFactor":1,"mobile":false"#)
  }

  func prefer(_ scheme: String) throws {
    try call(
      "Emulation.setEmulatedMedia",
      #""features":[{"name":"prefers-color-scheme","value":"\#(scheme)"}]"#)
  }

  /// - Parameter type: mouseMoved, mousePressed, mouseReleased.
  func mouse(_ type: String, _ x: Double, _ y: Double) throws {
    let button = type == "mouseMoved" ? "none" : "left"
    try call(
      "Input.dispatchMouseEvent",
      #""type":"\#(type)","x":\#(x),"y":\#(y),"button":"\#(button)","clickCount":1"#)
  }

  func wheel(_ delta: Double, _ x: Double, _ y: Double) throws {
    try call(
      "Input.dispatchMouseEvent",
      #""type":"mouseWheel","x":\#(x),"y":\#(y),"deltaX":0,"deltaY":\#(delta)"#)
  }

  func press(_ key: String) throws {
    try call("Input.dispatchKeyEvent", #""type":"keyDown","key":"\#(key)""#)
    try call("Input.dispatchKeyEvent", #""type":"keyUp","key":"\#(key)""#)
  }

  /// What an expression, or what it promises, is as a text.
  func text(_ expression: String) throws -> String {
    var object = JSONObject()
    object.add("expression", "(async () => String(await (\(expression))))()")
    object.add("awaitPromise", true)
    object.add("returnByValue", true)
    let result = try call("Runtime.evaluate", String(object.text.dropFirst().dropLast()))
    if let details = result.member("exceptionDetails") {
      let text = details.member("exception")?.member("description")?.text ?? ""
      throw Failure(description: "\(expression): \(text)")
    }
    return result.member("result")?.member("value")?.text ?? ""
  }

  func numbers(_ expression: String) throws -> [Double] {
    try text("[" + expression + "].join(' ')").split(separator: " ").compactMap { Double($0) }
  }

  func number(_ expression: String) throws -> Double { try numbers(expression).first ?? .nan }

  /// Asks until the text is this one.
  func waits(for expression: String, toBe wanted: String = "true") throws -> Bool {
    let deadline = Deadline(afterMilliseconds: 60_000)
    while try text(expression) != wanted {
      if deadline.hasPassed { return false }
      usleep(20_000)
    }
    return true
  }
}

extension JSONNode {
  func member(_ key: String) -> JSONNode? {
    guard case .object(let members) = value else { return nil }
    return members.first { $0.key == key }?.node
  }

  var items: [JSONNode] {
    guard case .array(let items) = value else { return [] }
    return items
  }

  var text: String? {
    guard case .string(let text) = value else { return nil }
    return text
  }

  var number: Double? {
    guard case .number(let number) = value else { return nil }
    return number
  }
}

/// A traced run in a folder of its own, with its report.
func withTrace(
  _ scene: [String], _ options: [String] = [],
  _ check: (_ folder: String, _ report: String) throws -> Void
) throws {
  let folder = Command.temporaryDirectory()
  defer { _ = Command.run("/bin/rm", ["-rf", folder]) }
  let segment = freshSegment("browser-" + folder.suffix(6))
  let run = conformance(
    scene, segment: segment, options: ["--trace", folder + "/run.pftrace"] + options
  ).wait()
  #expect(run.status == 0, "\(run.errors)")
  try check(folder, run.output)
  expectClean(segment)
}
