/// The extents of a tensor, outermost first: up to five. With an extent of 0
/// there are no elements.
///
/// `Shape(16, 128)` and `[16, 128]` are the same; only the literal may allocate.
@frozen
public struct Shape: Equatable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  /// 0 (a single element) to 5; more is remembered and refused on use.
  public private(set) var rank: Int
  /// Elements per dimension; 1 beyond the rank.
  package private(set) var extents: (UInt32, UInt32, UInt32, UInt32, UInt32) = (1, 1, 1, 1, 1)
  /// False when an extent was negative or did not fit 32 bits, or the rank
  /// was more than five.
  package private(set) var isValid = true

  /// Rank 0: a single element.
  public init() { rank = 0 }
  /// One dimension; an extent is 1 to 2^32 - 1, and so is the product of all.
  public init(_ a: Int) {
    self.init()
    append(a)
  }
  /// Two dimensions.
  public init(_ a: Int, _ b: Int) {
    self.init(a)
    append(b)
  }
  /// Three dimensions.
  public init(_ a: Int, _ b: Int, _ c: Int) {
    self.init(a, b)
    append(c)
  }
  /// Four dimensions.
  public init(_ a: Int, _ b: Int, _ c: Int, _ d: Int) {
    self.init(a, b, c)
    append(d)
  }
  /// Five dimensions.
  public init(_ a: Int, _ b: Int, _ c: Int, _ d: Int, _ e: Int) {
    self.init(a, b, c, d)
    append(e)
  }

  public init(arrayLiteral elements: Int...) { self.init(elements) }

  /// As many dimensions as there are extents, at most five.
  public init(_ extents: some Sequence<Int>) {
    self.init()
    for extent in extents { append(extent) }
  }

  /// As many dimensions of one extent.
  package init(repeating extent: Int, rank: Int) {
    self.init()
    for _ in 0..<rank { append(extent) }
  }

  /// The first `rank` of five extents.
  package init(rank: Int, extents: (UInt32, UInt32, UInt32, UInt32, UInt32)) {
    self.init()
    if rank > 0 { append(Int(extents.0)) }
    if rank > 1 { append(Int(extents.1)) }
    if rank > 2 { append(Int(extents.2)) }
    if rank > 3 { append(Int(extents.3)) }
    if rank > 4 { append(Int(extents.4)) }
  }

  private mutating func append(_ extent: Int) {
    guard rank < 5, let value = UInt32(exactly: extent) else {
      isValid = false
      return
    }
    self[rank] = value
    rank += 1
  }

  /// Extent of a dimension, 0 to 4.
  package subscript(_ dimension: Int) -> UInt32 {
    get {
      switch dimension {
      case 0: extents.0
      case 1: extents.1
      case 2: extents.2
      case 3: extents.3
      default: extents.4
      }
    }
    set {
      switch dimension {
      case 0: extents.0 = newValue
      case 1: extents.1 = newValue
      case 2: extents.2 = newValue
      case 3: extents.3 = newValue
      default: extents.4 = newValue
      }
    }
  }

  public static func == (a: Shape, b: Shape) -> Bool {
    a.rank == b.rank && a.extents == b.extents && a.isValid == b.isValid
  }

  /// Product of the extents; nil when it does not fit 32 bits.
  public var elementCount: Int? {
    // 1 beyond the rank.
    var count = UInt64(extents.0) * UInt64(extents.1)
    if rank > 2 {
      for dimension in 2..<rank {
        // An extent of 0 leaves no elements, whatever the others are.
        if self[dimension] == 0 { return 0 }
        if count <= UInt64(UInt32.max) { count *= UInt64(self[dimension]) }
      }
    }
    return count > UInt64(UInt32.max) ? nil : Int(count)
  }

  public var description: String {
    "[" + (0..<rank).map { String(self[$0]) }.joined(separator: ", ") + "]"
  }
}
