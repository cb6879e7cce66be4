import Harness
import Testing

/// The golden workload through real processes, checked by the program itself
/// against its reference in double.
@Suite(.serialized, .elsewhereToo) struct PagedAttentionTests {
  @Test(
    arguments: ["small-31", "small-33", "small-128", "small-b2", "small-b4", "medium"],
    ["1", "2"])
  func caseIsWithinTolerance(name: String, clusters: String) throws {
    let segment = freshSegment("\(name)-\(clusters)")
    let result = Command.run(
      "paged-attention",
      ["--case", name, "--clusters", clusters, "--segment", segment, "--json", "--quiet"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("\"verified\""))
    let values = try #require(
      result.output.firstRange(of: "\"value\":\"").map { _ in result.output })
    let error = try #require(
      values.firstRange(of: "\"maximum error\",\"value\":\"").map {
        Double(values[$0.upperBound...].prefix { $0 != " " })
      } ?? nil)
    #expect(error > 0 && error <= 1e-3)
    #expect(Leftovers.of(segment) == .none)
  }

  @Test func blocksCanBeGrouped() {
    for group in ["2", "3", "100"] {
      let result = Command.run(
        "paged-attention", ["--case", "small-b4", "--group", group, "--quiet"])
      #expect(result.status == 0, "\(result.errors)")
    }
  }

  /// The check can fail: no result is exact.
  @Test func toleranceOfZeroFailsTheRun() {
    let result = Command.run(
      "paged-attention", ["--case", "small-33", "--tolerance", "0", "--quiet"])
    #expect(result.status == 19)
    #expect(result.errors.contains("differs from the reference"))
  }

  /// Window 64, heap 4 MiB, pool 256: every slot and every byte of the heap is
  /// used many times over.
  @Test(arguments: ["0", "4294966000"])
  func ringTestReusesEverySlot(firstPosition: String) throws {
    let result = Command.run(
      "paged-attention",
      ["--case", "ring", "--json", "--quiet", "--first-position", firstPosition],
      environment: [
        "PTO2_RING_TASK_WINDOW": "64", "PTO2_RING_HEAP": "4M", "PTO2_RING_DEP_POOL": "256",
      ])
    #expect(result.status == 0, "\(result.errors)")
    let json = result.output
    let tasks = try #require(number("tasks", in: json))
    #expect(tasks > 4000)
    let submitted = numbers("submitted", in: json)
    #expect(submitted.contains { $0 / 64 > 50 }, "no ring was reused 50 times")
    #expect(submitted == numbers("released", in: json))
    #expect(submitted == numbers("consumed", in: json))
    #expect(numbers("consumed_window", in: json) == [256, 256, 256, 256])
    #expect(numbers("peak_main", in: json).allSatisfy { $0 <= 64 })
    #expect(numbers("peak_main", in: json).contains(64), "back-pressure was not reached")
    #expect(numbers("peak_dep_pool", in: json).allSatisfy { $0 <= 256 })
    #expect(numbers("peak_heap_bytes", in: json).allSatisfy { $0 <= 4 * 1024 * 1024 })
  }
}
