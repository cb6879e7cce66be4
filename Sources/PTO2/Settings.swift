internal import PTO2Orchestrator
package import PTO2Segment
internal import PTO2System

/// Ring sizes from flags, environment and defaults, in this order.
///
/// A value is one number for all rings or one per ring, separated by commas.
/// Heap sizes take K, M or G. What is not valid is an error that names the
/// variable, the value and the range; nothing is ignored or rounded.
package struct RingSettings {
  package var taskWindow: String?
  package var consumedWindow: String?
  package var heap: String?
  package var dependencyPool: String?

  package init(
    taskWindow: String? = nil, consumedWindow: String? = nil, heap: String? = nil,
    dependencyPool: String? = nil
  ) {
    self.taskWindow = taskWindow
    self.consumedWindow = consumedWindow
    self.heap = heap
    self.dependencyPool = dependencyPool
  }

  package func rings(count: Int, environment: (String) -> String?) throws(ConfigurationError)
    -> [Configuration.Ring]
  {
    typealias Limits = PTO2Segment.Configuration
    let windows = try values(
      taskWindow, "--task-window", "PTO2_RING_TASK_WINDOW", count: count,
      default: UInt64(Limits.defaultTaskWindow), maximum: UInt64(Limits.maximumTaskWindow),
      environment: environment)
    let consumed = try values(
      consumedWindow, "--consumed-window", "PTO2_RING_CONSUMED_WINDOW", count: count,
      default: nil, maximum: UInt64(Limits.maximumConsumedWindow), environment: environment)
    let heaps = try values(
      heap, "--heap", "PTO2_RING_HEAP", count: count, default: Limits.defaultHeapBytes,
      maximum: Limits.maximumHeapBytes, environment: environment)
    let pools = try values(
      dependencyPool, "--dep-pool", "PTO2_RING_DEP_POOL", count: count,
      default: UInt64(Limits.defaultDependencyPool), maximum: Limits.maximumDependencyPool,
      environment: environment)
    return (0..<count).map { index in
      Configuration.Ring(
        taskWindow: Int(windows[index]!), consumedWindow: consumed[index].map { Int($0) },
        heapBytes: Int(heaps[index]!), dependencyPool: Int(pools[index]!))
    }
  }

  /// One number a ring: of the flag, else of the variable, else the default.
  private func values(
    _ flag: String?, _ flagName: String, _ variable: String, count: Int, default: UInt64?,
    maximum: UInt64, environment: (String) -> String?
  ) throws(ConfigurationError) -> [UInt64?] {
    let name = flag == nil ? variable : flagName
    guard let text = flag ?? environment(variable) else {
      return [UInt64?](repeating: `default`, count: count)
    }
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    guard parts.count == 1 || parts.count == count else {
      throw ConfigurationError(
        variable: name, value: text, range: "one value, or \(count) separated by commas")
    }
    var parsed: [UInt64?] = []
    for part in parts {
      guard let value = parseSize(part) else {
        throw ConfigurationError(
          variable: name, value: text,
          range: "a whole number above 0, with K, M or G for 2^10, 2^20 or 2^30")
      }
      guard value <= maximum else {
        throw ConfigurationError(variable: name, value: text, range: "at most \(maximum)")
      }
      parsed.append(value)
    }
    return parsed.count == 1 ? [UInt64?](repeating: parsed[0], count: count) : parsed
  }
}

/// Records of the TensorMap, from flag, environment and default.
package func tensorMapRanges(_ flag: String?, environment: (String) -> String?)
  throws(ConfigurationError)
  -> Int
{
  let variable = "PTO2_TENSOR_MAP_ENTRIES"
  guard let text = flag ?? environment(variable) else { return Orchestrator.defaultMapLimit }
  guard let value = parseSize(text), value <= 1 << 30 else {
    throw ConfigurationError(
      variable: flag == nil ? variable : "--tensor-map", value: text,
      range: "1 to \(1 << 30), with K, M or G for 2^10, 2^20 or 2^30")
  }
  return Int(value)
}
