internal import CPTO2Segment
internal import PTO2Protocol

extension Segment {
  /// Orchestrator, before the magic: what every process must load.
  func writeImages(_ images: [KernelImage]) {
    var kernelID = 0
    for (index, image) in images.enumerated() {
      let record = ownImageRecords[index]
      record.path = image.path
      record.identity = image.identity
      record.kernelCount = UInt32(image.kernels.count)
      record.tableHash = image.tableHash
      for kernel in image.kernels {
        ownKernelRecords[kernelID].name = kernel.name
        kernelID += 1
      }
    }
  }

  /// Orchestrator, before the magic: what every kernel sees.
  func writeConstants(_ constants: [UInt8]) {
    guard !constants.isEmpty else { return }
    unsafe UnsafeMutableRawBufferPointer(start: write(.constants), count: constants.count)
      .copyBytes(from: constants)
  }

  /// Worker: loads every image the header names; refuses one that differs.
  package func loadImages() throws(KernelImageError) -> [KernelImage] {
    var images: [KernelImage] = []
    for index in 0..<Int(configuration.imageCount) {
      let record = imageRecords[index]
      let (path, expected) = (record.path, record.identity)
      // No path at all would be this program, and a name alone is searched for.
      guard path.hasPrefix("/") else {
        throw .cannotLoad(path: path, reason: "the segment's image record \(index) is damaged")
      }
      let image = try KernelImage(path: path)
      guard image.identity == expected else {
        throw .different(
          path: path, expected: "identity \(KernelImage.text(expected))",
          found: "identity \(image.identityText)")
      }
      guard image.tableHash == record.tableHash else {
        throw .different(
          path: path, expected: "table 0x\(String(record.tableHash, radix: 16))",
          found: "table 0x\(String(image.tableHash, radix: 16))")
      }
      image.recordExceptions()
      images.append(image)
    }
    return images
  }
}
