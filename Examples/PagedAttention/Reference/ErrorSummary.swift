/// How far results are from what was expected.
public struct ErrorSummary: Sendable, Equatable {
  /// Expected values smaller than this count as this in `maxRelative`.
  public static let relativeFloor = 0.01

  /// Elements compared.
  public var count = 0
  /// The largest `|actual - expected|`; infinite when `nonFinite` is not 0.
  public var maxAbsolute = 0.0
  /// The largest `|actual - expected| / max(|expected|, relativeFloor)`;
  /// infinite when `nonFinite` is not 0.
  public var maxRelative = 0.0
  /// Where `maxAbsolute` is: the first such element, `nil` before any error.
  public var worstIndex: Int?
  /// Elements where the result or the expectation is NaN or infinite.
  public var nonFinite = 0

  /// Nothing compared yet.
  public init() {}

  /// Whether something was compared, everything was finite and every absolute
  /// error is at most `tolerance`.
  public func isWithin(_ tolerance: Double) -> Bool {
    count > 0 && nonFinite == 0 && maxAbsolute <= tolerance
  }

  /// Adds one element.
  public mutating func add(actual: Float, expected: Double, at index: Int) {
    count += 1
    guard actual.isFinite && expected.isFinite else {
      if nonFinite == 0 { worstIndex = index }
      nonFinite += 1
      maxAbsolute = .infinity
      maxRelative = .infinity
      return
    }
    let error = (Double(actual) - expected).magnitude
    maxRelative = max(maxRelative, error / max(expected.magnitude, Self.relativeFloor))
    if error > maxAbsolute {
      maxAbsolute = error
      worstIndex = index
    }
  }

  /// Adds the summary of another part, whose element 0 is element `offset` here.
  public mutating func merge(_ other: ErrorSummary, offset: Int) {
    if other.maxAbsolute > maxAbsolute { worstIndex = other.worstIndex.map { $0 + offset } }
    count += other.count
    maxAbsolute = max(maxAbsolute, other.maxAbsolute)
    maxRelative = max(maxRelative, other.maxRelative)
    nonFinite += other.nonFinite
  }
}

/// Compares results with what was expected of them, element by element.
///
/// - Precondition: both have the same number of elements.
public func compare(_ actual: Span<Float>, with expected: Span<Double>) -> ErrorSummary {
  precondition(actual.count == expected.count, "one expectation per result")
  var summary = ErrorSummary()
  for i in actual.indices { summary.add(actual: actual[i], expected: expected[i], at: i) }
  return summary
}
