internal import PTO2Protocol

/// Memory that tensors lie in: an external tensor, or one output of a task, kept or not.
struct Buffer: BitwiseCopyable {
  enum State: UInt8 {
    case free
    /// Named by `output`, without memory until its task is submitted.
    case declared
    case placed
    /// Another rank has put it out, and this one has had nothing of it.
    case elsewhere
  }

  /// Bytes from the segment base to its first byte; unknown until placed.
  var offset: UInt64 = 0
  var bytes: UInt64 = 0
  var generation: UInt32 = 0
  /// What the TensorMap has of it.
  var records = BufferRecords()
  /// The task that put it out; none for an external tensor.
  var owner = TaskOrdinal.none
  /// Serial of the owner's scope; of outputs that are not kept.
  var scope: UInt64 = 0
  /// Next buffer of the same owner, or next free place.
  var next = Buffer.none
  var state = State.free
  /// An output that lives as external tensors do.
  var isKept = false
  /// An output of a task on another rank: if it has memory here, that lies in the arena, and
  /// its scope ends it.
  var isCopy = false

  /// The program gives it back, and no scope ends it.
  var isOfProgram: Bool {
    @inline(__always) get { owner == .none && !isCopy || isKept }
  }

  /// The end of a list of buffers.
  static let none = UInt32.max
}

/// The buffers that tensors name by place and generation. A place that is given back
/// is used again, under another generation: old tensors do not fit it any more.
struct BufferTable: ~Copyable {
  private var places = PlainArray<Buffer>(capacity: 1024)
  private var firstFree = Buffer.none

  var count: Int { places.count }

  @inline(__always)
  subscript(place: UInt32) -> Buffer {
    get { places[place] }
    _modify { yield &places[place] }
  }

  /// - Returns: the place of a new buffer.
  mutating func make(bytes: UInt64, state: Buffer.State) -> UInt32 {
    guard firstFree != Buffer.none else {
      return UInt32(places.append(Buffer(bytes: bytes, state: state)))
    }
    let place = firstFree
    firstFree = places[place].next
    places[place] = Buffer(
      bytes: bytes, generation: places[place].generation, state: state)
    return place
  }

  /// Gives a place back, and forgets the buffer's records.
  mutating func free(_ place: UInt32, _ map: inout TensorMap) {
    map.removeAll(&places[place].records)
    places[place].state = .free
    places[place].generation &+= 1
    places[place].next = firstFree
    firstFree = place
  }

  /// Gives every place back.
  mutating func freeAll(_ map: inout TensorMap) {
    for index in 0..<places.count where places[index].state != .free {
      free(UInt32(index), &map)
    }
  }

  /// A buffer with memory; nil when that is gone.
  func placed(_ place: UInt32, _ generation: UInt32) -> Buffer? {
    let buffer = places[place]
    return buffer.generation == generation && buffer.state == .placed ? buffer : nil
  }

  /// What a tensor lies in; nil when its memory is gone or was never as large.
  @inline(__always)
  func live(_ tensor: AnyTensor) -> Buffer? {
    guard Int(tensor.buffer) < places.count else { return nil }
    let buffer = places[tensor.buffer]
    guard buffer.generation == tensor.generation, buffer.state != .free,
      tensor.offset + tensor.spanBytes <= buffer.bytes
    else { return nil }
    return buffer
  }
}
