internal import PTO2Orchestrator
internal import PTO2Segment

/// Ring sizes from flags, environment and defaults, in this order.
///
/// A value is one number for all rings or one per ring, separated by commas.
/// Heap sizes take K, M or G. What is not valid is an error that names the
/// variable, the value and the range; nothing is ignored or rounded.
struct RingSettings {
  var taskWindow: String?
  var consumedWindow: String?
  var heap: String?
  var dependencyPool: String?

  func rings(count: Int, environment: (String) -> String?) throws(ConfigurationError)
    -> [Configuration.Ring]
  {
    func values(
      _ flag: String?, _ flagName: String, _ variable: String, default: UInt64?, maximum: UInt64
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
    let windows = try values(
      taskWindow, "--task-window", "PTO2_RING_TASK_WINDOW",
      default: UInt64(Configuration.defaultTaskWindow),
      maximum: UInt64(Configuration.maximumTaskWindow))
    let consumed = try values(
      consumedWindow, "--consumed-window", "PTO2_RING_CONSUMED_WINDOW", default: nil,
      maximum: UInt64(Configuration.maximumConsumedWindow))
    let heaps = try values(
      heap, "--heap", "PTO2_RING_HEAP", default: Configuration.defaultHeapBytes,
      maximum: Configuration.maximumHeapBytes)
    let pools = try values(
      dependencyPool, "--dep-pool", "PTO2_RING_DEP_POOL",
      default: UInt64(Configuration.defaultDependencyPool),
      maximum: Configuration.maximumDependencyPool)

    var rings: [Configuration.Ring] = []
    for index in 0..<count {
      let window = windows[index]!
      rings.append(
        Configuration.Ring(
          taskWindow: UInt32(clamping: window),
          consumedWindow: UInt32(
            clamping: consumed[index] ?? min(window, UInt64(UInt32.max))
              * UInt64(Configuration.consumedWindowFactor)),
          heapBytes: heaps[index]!, dependencyPool: UInt32(clamping: pools[index]!)))
    }
    return rings
  }
}

/// Ranges of the TensorMap, from flag, environment and default.
func tensorMapLimit(_ flag: String?, environment: (String) -> String?) throws(ConfigurationError)
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

/// `4096`, `64K`, `256M`, `1G`; nil for anything else and for 0.
func parseSize(_ text: some StringProtocol) -> UInt64? {
  var digits = Substring(text)
  var unit: UInt64 = 1
  switch digits.last {
  case "K", "k": unit = 1 << 10
  case "M", "m": unit = 1 << 20
  case "G", "g": unit = 1 << 30
  default: break
  }
  if unit > 1 { digits = digits.dropLast() }
  guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }),
    let number = UInt64(digits), number > 0
  else { return nil }
  let (value, overflow) = number.multipliedReportingOverflow(by: unit)
  return overflow ? nil : value
}

/// `256 MiB`, `4 GiB`, `1.5 MiB`, `1000 B`.
func formatBytes(_ bytes: UInt64) -> String {
  for (shift, unit) in [(UInt64(30), "GiB"), (20, "MiB"), (10, "KiB")] where bytes >= 1 << shift {
    let tenths = (bytes * 10) >> shift
    return tenths % 10 == 0 || tenths >= 1000
      ? "\(tenths / 10) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
  }
  return "\(bytes) B"
}
