internal import CSimulation

/// The steps of a run in words, kept or printed.
final class Trace {
  /// By rank.
  private let names: [Names]
  private let print: (String) -> Void

  init(_ names: [Names], _ print: @escaping (String) -> Void) {
    self.names = names
    self.print = print
  }

  private static let kinds = [
    "load", "store", "add", "exchange", "compare-exchange", "or", "kernel load", "kernel store",
  ]

  private func line(_ step: Int, _ role: String, _ text: String) {
    let number = String(step)
    let indent = String(repeating: " ", count: max(0, 7 - number.count))
    let padding = String(repeating: " ", count: max(1, 14 - role.count))
    print(indent + number + "  " + role + padding + text)
  }

  private func value(_ value: UInt64) -> String {
    value > 0xFFFF ? "0x" + String(value, radix: 16) : String(value)
  }

  private func name(_ address: UInt) -> String {
    guard let rank = names.firstIndex(where: { $0.has(address) }) else {
      return names[0].name(address)
    }
    return names[rank].name(address) + (names.count > 1 ? " of rank \(rank)" : "")
  }

  func access(_ kind: Int32, _ address: UInt, _ operand: UInt64, step: Int, role: String) {
    let old = value(UInt64(sim_peek(address)))
    let name = name(address)
    let text =
      switch kind {
      case SIM_LOAD, SIM_DATA_LOAD: "\(name) = \(old)"
      case SIM_STORE, SIM_DATA_STORE: "\(name): \(old) -> \(value(operand))"
      default: "\(name): \(old), \(value(operand))"
      }
    line(step, role, Self.kinds[Int(kind)] + " " + text)
  }

  func sleep(_ words: [(UInt, UInt32)], step: Int, role: String) {
    let list = words.map { "\(name($0.0)) = \(value(UInt64($0.1)))" }
    line(step, role, "sleeps on " + list.joined(separator: ", "))
  }

  func wake(_ address: UInt, step: Int, role: String) {
    line(step, role, "wakes \(name(address))")
  }

  func note(_ text: String, step: Int, role: String) { line(step, role, text) }
}
