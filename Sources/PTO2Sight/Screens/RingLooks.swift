internal import PTO2System

/// How full the rings of a session were at many looks.
package struct RingLooks: Sendable {
  /// What a ring gives out.
  enum Part: String, CaseIterable {
    case main, consumed
    case pool = "dep_pool"
    case payload, heap

    /// Nil where it cannot be told.
    func used(_ ring: RingPicture) -> UInt64? {
      switch self {
      case .main: ring.isDamaged ? nil : UInt64(ring.mainUsed)
      case .consumed: ring.isDamaged ? nil : UInt64(ring.consumedUsed)
      case .pool: ring.poolUsed.map(UInt64.init)
      case .payload: ring.payloadUsed
      case .heap: ring.heapUsed
      }
    }
  }

  private struct Key: Hashable {
    var ring: Int
    var part: Part
  }

  package private(set) var count = 0
  private var values: [Key: [UInt64]] = [:]

  package init() {}

  package mutating func note(_ picture: Picture) {
    count += 1
    for ring in picture.rings {
      for part in Part.allCases {
        if let used = part.used(ring) {
          values[Key(ring: ring.index, part: part), default: []].append(used)
        }
      }
    }
  }

  /// What so many percent of the looks did not exceed; nil when there was none.
  func most(_ percent: Int, of part: Part, ring: Int) -> UInt64? {
    guard let values = values[Key(ring: ring, part: part)]?.sorted() else { return nil }
    return values[(values.count * percent + 99) / 100 - 1]
  }

  /// Of a ring, what half of the looks, 90 % and all of them did not exceed, by part.
  func add(ring: Int, to object: inout JSONObject) {
    for part in Part.allCases {
      guard let half = most(50, of: part, ring: ring) else { continue }
      object.add("\(part.rawValue)_half", half)
      object.add("\(part.rawValue)_90", most(90, of: part, ring: ring) ?? 0)
      object.add("\(part.rawValue)_most", most(100, of: part, ring: ring) ?? 0)
    }
  }
}
