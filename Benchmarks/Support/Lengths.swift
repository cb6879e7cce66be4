/// A length of time in microseconds: `30us`, `1.5ms`; nil for anything else, and beyond 10 ns
/// to 1 s.
package func microseconds(_ text: Substring) -> Double? {
  let scale = text.hasSuffix("us") ? 1.0 : text.hasSuffix("ms") ? 1000 : 0
  guard scale > 0, let value = Double(text.dropLast(2)), (0.01...1e6).contains(value * scale)
  else { return nil }
  return value * scale
}
