import Glibc
import PTO2System

/// What a session may leave: its name in /dev/shm, and processes.
package struct Leftovers: Equatable, CustomStringConvertible {
  package var segments: [String]
  package var processes: [String]

  /// Everything that carries the segment's name.
  package static func of(_ segment: String) -> Leftovers {
    Leftovers(
      segments: isNamed(segment) ? [segment] : [],
      processes: processIDs(of: segment).map { "\($0) \(commandLine(of: $0).first ?? "?")" })
  }

  package static let none = Leftovers(segments: [], processes: [])
  package var description: String { "segments \(segments), processes \(processes)" }
}

package func isNamed(_ segment: String) -> Bool { access("/dev/shm/" + segment, F_OK) == 0 }

/// Every process but this one, and no zombies, with this word on its command line.
package func processIDs(of segment: String) -> [pid_t] {
  numbers(in: "/proc").filter { $0 != getpid() && commandLine(of: $0).contains(segment) }
}

/// Processes that were started for a segment, by executable name.
package func processes(_ segment: String, named name: String) -> [pid_t] {
  processIDs(of: segment).filter { commandLine(of: $0).first?.hasSuffix("/" + name) == true }
}

/// Processes that one has started, by all of its threads.
package func children(of pid: pid_t) -> [pid_t] {
  numbers(in: "/proc/\(pid)/task").flatMap { thread in
    readFile("/proc/\(pid)/task/\(thread)/children").split(separator: " ").compactMap { pid_t($0) }
  }
}

package func openDescriptors() -> Int { entries(of: "/proc/self/fd").count }
