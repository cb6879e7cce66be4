internal import Glibc
internal import PTO2Sight
internal import PTO2System
internal import Synchronization

/// What signal handlers have noted. They store to these and nothing else.
private let pendingSignal = Atomic<Int32>(0)
private let pendingResize = Atomic<Bool>(false)
private let pendingReturn = Atomic<Bool>(false)

/// The terminal as it was; nonzero while it is changed.
private let isChanged = Atomic<Bool>(false)
nonisolated(unsafe) private var before = termios()

/// What `restore` writes: the cursor, and the screen that was there before.
private let goodbye: StaticString = "\u{1B}[?2026l\u{1B}[0m\u{1B}[?25h\u{1B}[?1049l"

/// Lets go of the terminal, from wherever: calls that a signal handler may make alone.
private func letGo() {
  guard isChanged.exchange(false, ordering: .sequentiallyConsistent) else { return }
  _ = unsafe write(STDOUT_FILENO, goodbye.utf8Start, goodbye.utf8CodeUnitCount)
  _ = unsafe tcsetattr(STDIN_FILENO, TCSANOW, &before)
}

/// A screen of its own on the terminal of this process, given back however it ends.
final class Terminal {
  private var shown: [String] = []

  /// Nil when standard input or output is no terminal.
  init?() {
    guard isatty(STDOUT_FILENO) == 1, isatty(STDIN_FILENO) == 1,
      unsafe tcgetattr(STDIN_FILENO, &before) == 0
    else { return nil }
    // Set up before a handler may touch them.
    _ = (pendingSignal.load(ordering: .relaxed), pendingResize.load(ordering: .relaxed))
    _ = (pendingReturn.load(ordering: .relaxed), isChanged.load(ordering: .relaxed))
    for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
      signal(number) { pendingSignal.store($0, ordering: .relaxed) }
    }
    signal(SIGWINCH) { _ in pendingResize.store(true, ordering: .relaxed) }
    signal(SIGCONT) { _ in pendingReturn.store(true, ordering: .relaxed) }
    signal(SIGPIPE, SIG_IGN)
    // Ctrl-Z: the terminal as it was, then the stop that was asked for.
    signal(SIGTSTP) { _ in
      letGo()
      raise(SIGSTOP)
    }
    // Of a crash.
    for number in [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT] {
      signal(number) { number in
        letGo()
        signal(number, SIG_DFL)
        raise(number)
      }
    }
    atexit { letGo() }
    enter()
  }

  private func enter() {
    var raw = unsafe before
    raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
    // read(2) returns at once.
    unsafe withUnsafeMutableBytes(of: &raw.c_cc) {
      unsafe $0[Int(VMIN)] = 0
      unsafe $0[Int(VTIME)] = 0
    }
    isChanged.store(true, ordering: .sequentiallyConsistent)
    unsafe tcsetattr(STDIN_FILENO, TCSANOW, &raw)
    _ = sendOutput("\u{1B}[?1049h\u{1B}[?25l\u{1B}[2J")
    shown = []
  }

  func restore() { letGo() }

  /// Ends this process by the signal that has come, if one has.
  func raisePending() {
    let number = pendingSignal.load(ordering: .relaxed)
    guard number != 0 else { return }
    signal(number, SIG_DFL)
    raise(number)
  }

  /// Of the terminal; 80 by 24 where it does not say.
  func size() -> ScreenSize {
    var size = winsize()
    guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0,
      size.ws_row > 0
    else { return ScreenSize(columns: 80, rows: 24) }
    return ScreenSize(columns: Int(size.ws_col), rows: Int(size.ws_row))
  }

  /// Lines from the top on, all at once; what is below is cleared.
  /// - Returns: false when nobody takes them any more.
  func draw(_ lines: [String]) -> Bool {
    if pendingReturn.exchange(false, ordering: .relaxed) { enter() }
    var text = "\u{1B}[?2026h\u{1B}[H"
    for (index, line) in lines.enumerated() {
      text += line + "\u{1B}[0m\u{1B}[K" + (index + 1 < lines.count ? "\r\n" : "")
    }
    text += "\u{1B}[J\u{1B}[?2026l"
    return sendOutput(text) == nil
  }

  /// A signal that ends has come, or q was pressed.
  func wantsEnd() -> Bool {
    if pendingSignal.load(ordering: .relaxed) != 0 { return true }
    var byte: UInt8 = 0
    while unsafe read(STDIN_FILENO, &byte, 1) == 1 {
      if byte == UInt8(ascii: "q") || byte == UInt8(ascii: "Q") { return true }
    }
    return false
  }

  /// Since the last question; also after a stop.
  func wasResized() -> Bool {
    pendingResize.exchange(false, ordering: .relaxed) || pendingReturn.load(ordering: .relaxed)
  }
}
