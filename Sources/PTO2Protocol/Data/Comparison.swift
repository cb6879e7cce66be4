/// How a predicate compares an element with its value; values as in pto2.h.
public enum Comparison: UInt8, Sendable, CaseIterable {
  case equal = 0
  case notEqual, greater, less, greaterOrEqual, lessOrEqual
}
