package import PTO2Protocol
internal import PTO2System

/// Error 210: somebody made the segment's object smaller while it is in use.
extension Segment {
  /// Nil while the object is as large as it should be.
  package func truncationError() -> PTO2Error? {
    guard let size = try? object.size(), size < layout.totalBytes else { return nil }
    return PTO2Error(
      .segmentTruncated,
      truncationText(offset: "\(size)", section: layout.sectionName(at: size)),
      needed: layout.totalBytes, available: size)
  }

  package func truncationText(offset: String, section: String) -> String {
    "segment \(name) was truncated: byte \(offset) of \(layout.totalBytes), in \(section), is gone. Something outside the run has changed /dev/shm/\(name)"
  }

  /// Ends this process with error 210 when it touches what is gone.
  /// - Parameters:
  ///   - says: the line for standard error, made of the error's text; nil: none.
  ///   - output: text for standard output, likewise.
  package func watchTruncation(
    isNameRemoved: Bool = false, says: ((PTO2Error) -> String)? = nil,
    output: ((PTO2Error) -> String)? = nil
  ) {
    // Segment names have no such characters.
    let error = PTO2Error(
      .segmentTruncated, truncationText(offset: "<offset>", section: "<section>"))
    func pieces(_ text: String?) -> [String] {
      guard let text, let first = text.firstRange(of: "<offset>"),
        let second = text.firstRange(of: "<section>")
      else { return [] }
      return [
        String(text[..<first.lowerBound]), String(text[first.upperBound..<second.lowerBound]),
        String(text[second.upperBound...]),
      ]
    }
    TruncationWatch(
      sections: layout.sections.map { ($0.offset, layout.sectionName(at: $0.offset)) },
      error: pieces(says?(error)), output: pieces(output?(error)),
      exitStatus: PTO2ErrorCode.segmentTruncated.exitStatus, isNameRemoved: isNameRemoved
    ).begin(object, mapping)
  }
}
