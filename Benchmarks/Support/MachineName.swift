internal import PTO2System

/// What figures were measured on.
package enum MachineName {
  package static func processor() -> String {
    let line = readWholeFile("/proc/cpuinfo")?.split(separator: "\n")
      .first { $0.hasPrefix("model name") }
    let name = line?.split(separator: ":").last?.drop { $0 == " " }
    return name.map(String.init) ?? "unknown processor"
  }

  package static func kernel() -> String {
    readWholeFile("/proc/sys/kernel/osrelease").map { String($0.prefix { $0 != "\n" }) }
      ?? "unknown"
  }
}
