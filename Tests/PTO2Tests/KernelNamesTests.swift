import PTO2Orchestrator
import PTO2Protocol
import Testing

@testable import PTO2

@Suite struct KernelNamesTests {
  /// As many kernels as a session may have: finding one looks at few others.
  @Test func lookUpDoesNotGrowWithTheNumberOfKernels() throws {
    let kernels = CKernels()
    let names = (0..<4096).map { "kernel_\($0 / 64)_of_group_\($0 % 64)" }
    var found = 0
    func handle(_ name: String) throws -> UInt64 {
      try kernels.handle(name) { name throws(PTO2Error) in
        found += 1
        return Kernel(call: UInt64(name.utf8.count), id: 0, coreType: .aiv)
      }.opaque
    }
    let handles = try names.map(handle)
    #expect(Set(handles).count == names.count && found == names.count)
    #expect(try names.map(handle) == handles, "the same the second time")
    #expect(found == names.count, "no name was looked up in the images twice")
    let looks = names.map { kernels.place(of: $0).looks }
    #expect(looks.reduce(0, +) < 2 * names.count && looks.max()! < 64, "\(looks.max()!)")
  }

  @Test func nameThatIsNoneStaysUnknown() throws {
    let kernels = CKernels()
    for _ in 0..<2 {
      #expect(throws: PTO2Error.self) {
        try kernels.handle("none") { _ throws(PTO2Error) in throw PTO2Error(.invalidArgs, "none") }
      }
    }
  }
}
