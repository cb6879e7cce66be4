internal import CPTO2
internal import CPTO2Segment

/// What an executable says for --version: the package, and the versions that decide what fits
/// together.
package func versionText(_ executable: String) -> String {
  "\(executable) \(PTO2_VERSION) (segment \(PTO2_SEGMENT_MAJOR).\(PTO2_SEGMENT_MINOR), kernel images \(PTO2_KERNEL_MAJOR), programs \(PTO2_PROGRAM_MAJOR), libpto2.so \(PTO2_SESSION_MAJOR))"
}
