/// How people write numbers, in options, variables and lists: decimal digits and nothing
/// before them.

/// `4096`, `64K`, `256M`, `1G`, for 2^10, 2^20 and 2^30; nil for anything else.
package func parseWhole(_ text: some StringProtocol) -> UInt64? {
  var digits = Substring(text)
  var unit: UInt64 = 1
  switch digits.last {
  case "K", "k": unit = 1 << 10
  case "M", "m": unit = 1 << 20
  case "G", "g": unit = 1 << 30
  default: break
  }
  if unit > 1 { digits = digits.dropLast() }
  guard isDigits(digits), let number = UInt64(digits) else { return nil }
  let (value, overflow) = number.multipliedReportingOverflow(by: unit)
  return overflow ? nil : value
}

/// The same, and not 0: a size.
package func parseSize(_ text: some StringProtocol) -> UInt64? {
  parseWhole(text).flatMap { $0 > 0 ? $0 : nil }
}

/// Seconds such as `2`, `0.5` or `.5`: no sign, no exponent, no hexadecimal, no infinity.
package func parseSeconds(_ text: some StringProtocol) -> Double? {
  let parts = text.split(separator: ".", omittingEmptySubsequences: false)
  guard parts.count <= 2, text.utf8.count <= 32, parts.contains(where: { !$0.isEmpty }),
    parts.allSatisfy({ $0.isEmpty || isDigits($0) })
  else { return nil }
  // Digits and a point: a number that is finite.
  return Double("0" + text + (parts.count == 2 && parts[1].isEmpty ? "0" : ""))
}

/// What a number is that cannot be read, for the argument parser.
package struct NumberError: Error, CustomStringConvertible {
  package let description: String
  package init(description: String) { self.description = description }
}

/// A number of things, of an option.
package func readCount(_ text: String) throws(NumberError) -> UInt32 {
  guard let value = parseWhole(text), let count = UInt32(exactly: value) else {
    throw NumberError(
      description: "expected a whole number, with K, M or G for 2^10, 2^20 or 2^30")
  }
  return count
}

/// A time, of an option.
package func readSeconds(_ text: String) throws(NumberError) -> Double {
  guard let seconds = parseSeconds(text) else {
    throw NumberError(description: "expected seconds, such as 2 or 0.5")
  }
  return seconds
}

private func isDigits(_ text: some StringProtocol) -> Bool {
  !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
}
