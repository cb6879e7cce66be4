internal import CPTO2Segment
internal import PTO2Protocol

/// Cores of each cluster: a bit per cluster, by subtask.
struct CoreMasks: Equatable {
  var aic: UInt64 = 0
  var aiv0: UInt64 = 0
  var aiv1: UInt64 = 0

  @inline(__always)
  var isEmpty: Bool { aic | aiv0 | aiv1 == 0 }

  /// The clusters whose core for a subtask is in.
  @inline(__always)
  subscript(subtask: Int) -> UInt64 { subtask == 0 ? aic : subtask == 1 ? aiv0 : aiv1 }

  @inline(__always)
  func contains(_ core: CoreID) -> Bool { self[core.subtask] >> UInt64(core.cluster) & 1 != 0 }

  @inline(__always)
  mutating func insert(_ core: CoreID) {
    let bit = UInt64(1) << UInt64(core.cluster)
    switch core.subtask {
    case 0: aic |= bit
    case 1: aiv0 |= bit
    default: aiv1 |= bit
    }
  }

  @inline(__always)
  mutating func remove(_ core: CoreID) {
    let bit = UInt64(1) << UInt64(core.cluster)
    switch core.subtask {
    case 0: aic &= ~bit
    case 1: aiv0 &= ~bit
    default: aiv1 &= ~bit
    }
  }

  /// The AICs, or the AIVs.
  @inline(__always)
  func ofKind(matrix: Bool) -> CoreMasks {
    matrix ? CoreMasks(aic: aic) : CoreMasks(aiv0: aiv0, aiv1: aiv1)
  }

  /// Of these clusters alone.
  @inline(__always)
  func of(_ clusters: UInt64) -> CoreMasks {
    CoreMasks(aic: aic & clusters, aiv0: aiv0 & clusters, aiv1: aiv1 & clusters)
  }

  @inline(__always)
  func intersection(_ other: CoreMasks) -> CoreMasks {
    CoreMasks(aic: aic & other.aic, aiv0: aiv0 & other.aiv0, aiv1: aiv1 & other.aiv1)
  }

  var count: Int { aic.nonzeroBitCount + aiv0.nonzeroBitCount + aiv1.nonzeroBitCount }

  /// The first so many, cluster by cluster.
  func first(_ limit: Int) -> CoreMasks {
    var masks = CoreMasks()
    for cluster in 0..<UInt64.bitWidth {
      for subtask in 0..<Int(PTO2_SLOTS) where self[subtask] >> UInt64(cluster) & 1 != 0 {
        if masks.count == limit { return masks }
        masks.insert(CoreID(cluster: cluster, subtask: subtask))
      }
    }
    return masks
  }

  static var all: CoreMasks { CoreMasks(aic: .max, aiv0: .max, aiv1: .max) }

  /// Clusters whose cores that are in suffice for a mixed shape.
  func clusters(for shape: TaskShape) -> UInt64 {
    switch shape {
    case .aicAivX2: aic & aiv0 & aiv1
    case .aicAivX1: aic & (aiv0 | aiv1)
    default: aiv0 & aiv1
    }
  }
}

/// Some cores: a bit each, by number.
struct CoreSet {
  private var bits: (UInt64, UInt64, UInt64) = (0, 0, 0)

  @inline(__always)
  var isEmpty: Bool { bits.0 | bits.1 | bits.2 == 0 }

  @inline(__always)
  mutating func insert(_ core: Int) {
    let bit = 1 &<< UInt64(truncatingIfNeeded: core)
    switch core >> 6 {
    case 0: bits.0 |= bit
    case 1: bits.1 |= bit
    default: bits.2 |= bit
    }
  }

  mutating func removeFirst() -> Int? {
    if bits.0 != 0 { return Self.removeFirst(&bits.0) }
    if bits.1 != 0 { return 64 + Self.removeFirst(&bits.1) }
    return bits.2 != 0 ? 128 + Self.removeFirst(&bits.2) : nil
  }

  @inline(__always)
  private static func removeFirst(_ word: inout UInt64) -> Int {
    let first = word.trailingZeroBitCount
    word &= word &- 1
    return first
  }
}

/// Who is idle, who has a free lane.
struct CoreTable {
  /// A bit for each cluster of the session.
  private let clusters: UInt64
  /// READY cores.
  var present = CoreMasks()
  /// READY cores with nothing outstanding.
  var idle = CoreMasks()
  /// READY cores with fewer dispatches than their depth, the idle ones included.
  var room = CoreMasks()
  /// Cores that get what others could get as well; see `Crowding`.
  private(set) var favoured = CoreMasks.all
  /// A cluster kept for a mixed task that found no place; set anew each step.
  var reservedClusters: UInt64 = 0
  /// A block waits for an idle AIC, or AIV; set anew each step.
  var isIdleAwaited: (matrix: Bool, vector: Bool) = (false, false)
  /// Cores with something outstanding; kept when there is one thread alone.
  var busyCores = 0
  /// The largest `Core.share` of any AIC, and of any AIV.
  private var largestShare: (matrix: UInt64, vector: UInt64) = (0, 0)

  init(clusterCount: Int) { clusters = UInt64.max >> UInt64(64 - clusterCount) }

  /// Every AIC, or AIV, is READY. Else those that are to come may be idle at any moment,
  /// and nothing is bound to a lane behind a running kernel.
  @inline(__always)
  func isComplete(isMatrix: Bool) -> Bool {
    (isMatrix ? present.aic : present.aiv0 & present.aiv1) == clusters
  }

  /// Where tasks of one kernel may be dispatched ahead. Not where a block waits for a core
  /// to run dry.
  @inline(__always)
  func roomAhead(isMatrix: Bool) -> CoreMasks {
    if isMatrix ? isIdleAwaited.matrix : isIdleAwaited.vector { return CoreMasks() }
    return (isComplete(isMatrix: isMatrix) ? room : idle)
      .ofKind(matrix: isMatrix).of(~reservedClusters).intersection(favoured)
  }

  mutating func favourAll(matrix: Bool) { favour(.all, matrix: matrix) }

  /// - Parameter masks: of which those of the kind count.
  mutating func favour(_ masks: CoreMasks, matrix: Bool) {
    if matrix {
      favoured.aic = masks.aic
    } else {
      (favoured.aiv0, favoured.aiv1) = (masks.aiv0, masks.aiv1)
    }
  }

  /// A core has announced READY, or had a FIN: enters it in the masks.
  @inline(__always)
  mutating func markFree<S: Sharing>(_ id: CoreID, _ core: Core, _: S.Type) {
    // A late mark of a core that has died since.
    guard S.load(core.incarnation) != 0 else { return }
    let outstanding = core.outstanding(S.self)
    present.insert(id)
    // With several threads the mark may come late, after the lane was used.
    if outstanding < core.depth.value { room.insert(id) }
    if outstanding == 0 { idle.insert(id) }
  }

  /// A core is about to get a dispatch.
  @inline(__always)
  mutating func markUsed<S: Sharing>(_ id: CoreID, _ core: Core, _: S.Type) {
    let before = core.outstanding(S.self)
    if before == 0 { idle.remove(id) }
    // Stale at worst: a FIN that comes meanwhile enters the core once more.
    if before + 1 >= core.depth.value { room.remove(id) }
    if !S.isShared && before == 0 { busyCores += 1 }
    let isMatrix = id.subtask == 0
    let share = max(core.share.value, leastShare(isMatrix: isMatrix)) + 1
    core.share.value = share
    if isMatrix {
      largestShare.matrix = max(largestShare.matrix, share)
    } else {
      largestShare.vector = max(largestShare.vector, share)
    }
  }

  /// What a core counts as having had at least: one that was full, or away, is not given
  /// all that it has missed.
  @inline(__always)
  func leastShare(isMatrix: Bool) -> UInt64 {
    let largest = isMatrix ? largestShare.matrix : largestShare.vector
    return largest - min(largest, Self.mostArrears)
  }

  private static var mostArrears: UInt64 { 4 }

  /// The core's depth has changed.
  mutating func updateRoom<S: Sharing>(_ id: CoreID, _ core: Core, _: S.Type) {
    room.remove(id)
    markFree(id, core, S.self)
  }

  /// The core's worker has died.
  mutating func remove(_ core: CoreID) {
    present.remove(core)
    idle.remove(core)
    room.remove(core)
  }
}
