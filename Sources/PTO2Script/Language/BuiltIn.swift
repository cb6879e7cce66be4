/// Kernels that every script has (Sources/ScriptKernels), and what an interpreter must know of
/// them. Each exists for both kinds of core.
package enum BuiltIn: String, Sendable, CaseIterable {
  case copy, add, multiply, scale, fill, increase, accumulate, sum, mark, meet
  case spin, sleep, crash, fail, stumble

  package enum Use: Sendable { case read, write, change, marker }
  package enum Scalar: Sendable {
    /// Of the type of the tensor that is written.
    case element
    /// A whole number.
    case count
  }

  /// Tensors it needs, in order; a task may have more.
  package var uses: [Use] {
    switch self {
    case .copy, .scale, .sum: [.read, .write]
    case .add, .multiply: [.read, .read, .write]
    case .fill, .mark: [.write]
    case .increase: [.change]
    case .accumulate: [.read, .change]
    case .meet: [.write, .marker]
    case .stumble: [.read, .write, .marker]
    case .spin, .sleep, .crash, .fail: []
    }
  }

  /// Scalars it needs.
  package var scalars: [Scalar] {
    switch self {
    case .scale, .fill, .increase, .mark, .meet: [.element]
    case .spin, .sleep, .stumble: [.count]
    case .copy, .add, .multiply, .accumulate, .sum, .crash, .fail: []
    }
  }

  /// It may copy tensor 0 to tensor 1.
  package var mayCopy: Bool { self == .spin || self == .sleep }

  /// Its name in the image.
  package func kernelName(isMatrix: Bool) -> String {
    "script_" + rawValue + (isMatrix ? "_aic" : "")
  }

  package static let image = "ScriptKernels"
}
