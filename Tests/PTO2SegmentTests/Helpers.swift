import CPTO2Segment
import Harness
import PTO2Segment
import Testing

func smallConfiguration(rings: Int = 2, clusters: UInt32 = 1) -> Configuration {
  Configuration(
    rings: [Configuration.Ring](
      repeating: Configuration.Ring(
        taskWindow: 4, consumedWindow: 16, heapBytes: 8192, dependencyPool: 16),
      count: rings),
    clusters: clusters, arenaBytes: 8192)
}

/// Creates and publishes a segment; afterwards its name must be gone.
func withSegment(
  _ configuration: Configuration = smallConfiguration(),
  _ body: (borrowing Segment, String) throws -> Void
) throws {
  let name = uniqueSegmentName()
  let segment = try Segment.create(name: name, configuration: configuration, images: [])
  segment.publish()
  defer {
    segment.unlink()
    #expect(sharedMemoryMode(name) == nil, "the name is left in /dev/shm")
  }
  try body(segment, name)
}

/// A copy of the segment's header, to be doctored.
func header(_ segment: borrowing Segment) -> pto2_header {
  segment.header.content
}

/// The error a call must throw; nil, and a failed test, when it throws none.
func segmentError(_ body: () throws -> Void) -> SegmentError? {
  #expect(throws: SegmentError.self) { try body() }
}
