import Glibc
import PTO2System
import Synchronization

/// Programs on several ranks, under a real mpirun(1).
package enum Mpirun {
  /// There is one, and libpto2-link-mpi.so (`make link`).
  package static let isThere: Bool = {
    let hasRunner = Command("mpirun", ["--version"], isOnPath: true).wait().status == 0
    return hasRunner && isAccessible(Command.buildDirectory + "libpto2-link-mpi.so")
  }()

  /// The environment of one mpirun. Its files are in a folder of its own: of several that
  /// begin and end at the same time, one would take away what another is about to use.
  package static var variables: [String: String] {
    let number = starts.add(1, ordering: .relaxed).newValue
    let place = ["OMPI_MCA_orte_tmpdir_base": "\(folder)/\(number)"]
    return settings.merging(place) { $1 }
  }

  private static let starts = Atomic<Int>(0)
  private static let folder: String = {
    let path = Command.temporaryDirectory()
    atexit { _ = Command("/bin/rm", ["-rf", folder]).wait() }
    return path
  }()

  /// More processes than CPUs, as root if need be, and no messages where ptrace is barred.
  private static let settings = [
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
  ]

  /// Starts an executable of ours on so many ranks.
  /// - Parameter transport: over shared memory; `self,tcp` over TCP.
  package static func start(
    _ ranks: Int, _ program: String, _ arguments: [String], by transport: String = "self,vader",
    _ variables: [String: String] = [:]
  ) -> Command {
    Command(
      "mpirun",
      ["--mca", "btl", transport, "-n", "\(ranks)", Command.buildDirectory + program] + arguments,
      environment: Self.variables.merging(variables) { $1 }, isOnPath: true)
  }
}
