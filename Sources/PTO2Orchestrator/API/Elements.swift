/// The elements of a tensor, in memory order, for reading. Use it inside the closure
/// that got it: later the memory may hold something else. An index that is out of
/// range traps.
@safe public struct Elements<Element: TensorElement>: RandomAccessCollection {
  let start: UnsafePointer<Element>
  /// Elements of the tensor.
  public let count: Int
  /// Keeps the memory mapped.
  let graph: Graph

  public var startIndex: Int { 0 }
  public var endIndex: Int { count }

  /// - Parameter index: 0 to `count` - 1, row-major.
  public subscript(index: Int) -> Element {
    precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "index out of range")
    return unsafe start[index]
  }

  /// All of them, for what works on spans. Depends on nothing: the memory is the
  /// session's, and `graph.read` goes on until its closure returns.
  public var span: Span<Element> {
    @_lifetime(immortal) get {
      let span = unsafe Span(_unsafeStart: start, count: count)
      return unsafe _overrideLifetime(span, borrowing: ())
    }
  }
}

/// The elements of a tensor, in memory order, for writing: as `Elements` otherwise.
@safe public struct MutableElements<Element: TensorElement>: RandomAccessCollection {
  let start: UnsafeMutablePointer<Element>
  /// Elements of the tensor.
  public let count: Int
  let graph: Graph

  public var startIndex: Int { 0 }
  public var endIndex: Int { count }

  /// - Parameter index: 0 to `count` - 1, row-major.
  public subscript(index: Int) -> Element {
    get {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "index out of range")
      return unsafe start[index]
    }
    nonmutating set {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: count), "index out of range")
      unsafe start[index] = newValue
    }
  }

  /// All of them, for what works on spans; see `Elements.span`.
  public var mutableSpan: MutableSpan<Element> {
    @_lifetime(immortal) get {
      let span = unsafe MutableSpan(_unsafeStart: start, count: count)
      return unsafe _overrideLifetime(span, borrowing: ())
    }
  }

  /// Makes every element the same.
  public func fill(with value: Element) {
    for index in 0..<count { unsafe start[index] = value }
  }
}

extension Elements where Element == BFloat16 {
  /// Their bits, for code with a bfloat16 of its own.
  public var bitPatterns: Elements<UInt16> {
    unsafe Elements<UInt16>(
      start: UnsafeRawPointer(start).assumingMemoryBound(to: UInt16.self), count: count,
      graph: graph)
  }
}

extension MutableElements where Element == BFloat16 {
  /// Their bits, for code with a bfloat16 of its own.
  public var bitPatterns: MutableElements<UInt16> {
    unsafe MutableElements<UInt16>(
      start: UnsafeMutableRawPointer(start).assumingMemoryBound(to: UInt16.self), count: count,
      graph: graph)
  }
}
