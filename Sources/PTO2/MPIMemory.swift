internal import Glibc
internal import PTO2System

/// The shared memory through which Open MPI's ranks of one host talk (btl/vader, version 4). Its
/// mpirun(1) removes it in the end, but not when it was killed itself.
enum MPIMemory {
  private static let folder = "/dev/shm/"

  /// Removes what the ranks of this process's job have left on this host: all of them end. Who
  /// still uses it has it mapped.
  static func remove() {
    guard let job = environment("PMIX_NAMESPACE").flatMap({ UInt32($0) }) else { return }
    let part = ".\(geteuid()).\(String(job, radix: 16))."
    for name in entries(of: folder) where name.hasPrefix("vader_segment.") && name.contains(part) {
      unsafe unlink(folder + name)
    }
  }
}
