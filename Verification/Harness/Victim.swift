import CPTO2Linux
import Glibc
import PTO2System

/// A process that is signalled through a pidfd only, so never a stranger.
package struct Victim: ~Copyable {
  package let pid: pid_t
  package let name: String
  /// Of a worker: the core it hosts.
  package let core: String?
  private let descriptor: Int32

  /// - Returns: nil unless the process lives and was started for the segment.
  package init?(_ pid: pid_t, segment: String) {
    let descriptor = pto2_pidfd_open(pid)
    guard descriptor >= 0 else { return nil }
    // Read while the descriptor holds the pid: if it fits, it is that process.
    let words = commandLine(of: pid)
    guard words.contains(segment), let path = words.first else {
      close(descriptor)
      return nil
    }
    self.pid = pid
    self.descriptor = descriptor
    name = String(path.split(separator: "/").last ?? "")
    let index = words.firstIndex(of: "--core")
    core = index.flatMap { words.indices.contains($0 + 1) ? words[$0 + 1] : nil }
  }

  deinit { close(descriptor) }

  /// False when it has ended already.
  package func signal(_ number: Int32) -> Bool { pto2_pidfd_send_signal(descriptor, number) == 0 }
}
