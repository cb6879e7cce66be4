internal import PTO2Protocol

/// Who last wrote, and who has read since, a range of bytes or a view with gaps.
struct Record: BitwiseCopyable {
  /// The bytes, or the first and the end of the last one of a view with gaps.
  var begin: UInt64
  var end: UInt64
  var writer = TaskOrdinal.none
  /// When it was written, by `TensorMap.now`; 0 when nobody has.
  var time: UInt64 = 0
  /// List of the tasks that have read it since, newest first.
  var readers = TensorMap.null
  var readerCount: UInt32 = 0
  /// Readers at which those already RELEASED are dropped from the list.
  var pruneAt = Record.fewReaders
  /// `Buffer.none` when the place is free.
  var buffer: UInt32
  var left = TensorMap.null
  var right = TensorMap.null
  var priority: UInt32
  /// Place of its geometry; null for a range.
  var view = TensorMap.null

  static let fewReaders: UInt32 = 16
}

struct Reader: BitwiseCopyable {
  var task: TaskOrdinal
  var time: UInt64
  var next: UInt32
}

/// What a record of a view with gaps has beside: which view it is, its bytes, and the
/// other such views of the buffer that it overlaps.
struct ViewGeometry: BitwiseCopyable {
  var shape: (UInt32, UInt32, UInt32, UInt32, UInt32)
  var strides: (Int32, Int32, Int32, Int32, Int32)
  /// List of the overlaps, found once per pair of views.
  var overlaps = TensorMap.null
  var overlapCount: UInt32 = 0
  /// The list holds since this epoch of the buffer.
  var epoch: UInt32
  /// There are too many for a list: they are looked for each time.
  var isCrowded = false
  /// The largest end in the subtree.
  var treeEnd: UInt64
  var box: ByteBox
}

/// One overlap, in the list of one of the two.
struct Overlap: BitwiseCopyable {
  /// The other record.
  var record: UInt32
  var next = TensorMap.null
  /// The other one has every byte of this one.
  var contains: Bool
  /// This one has every byte of the other.
  var isContained: Bool
}

/// The records of a buffer.
struct BufferRecords: BitwiseCopyable {
  /// Roots of the two trees.
  var ranges = TensorMap.null
  var views = TensorMap.null
  /// When something was last entered in either.
  var rangesTime: UInt64 = 0
  var viewsTime: UInt64 = 0
  /// Moves when views are dropped.
  var epoch: UInt32 = 0
  var viewCount: UInt32 = 0
  /// Pairs of views that were compared since the last look for views to drop.
  var compared: UInt32 = 0
}

/// Where an access is in its buffer: all there is to know of one without gaps.
struct Extent: BitwiseCopyable {
  var buffer: UInt32
  var hasGaps: Bool
  var isWrite: Bool
  var begin: UInt64
  var end: UInt64
}
