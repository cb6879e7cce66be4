extension Duration {
  package var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }

  /// Whole milliseconds, rounded up; what does not fit is the largest there is.
  package var inMilliseconds: UInt32 {
    let milliseconds = (inSeconds * 1000).rounded(.up)
    return milliseconds < Double(UInt32.max) ? UInt32(max(0, milliseconds)) : UInt32.max
  }
}
