internal import CPTO2Segment
internal import PTO2Protocol
package import PTO2Segment
package import PTO2System

extension TraceUse {
  var text: String {
    "\(written) records, "
      + (dropped == 0
        ? "none dropped" : "\(dropped) DROPPED: a larger --trace-buffer takes more")
  }

  func add(to object: inout JSONObject) {
    object.add("trace_records", written)
    object.add("trace_dropped", dropped)
  }
}

/// Fill and peaks of each ring, and a configuration that they suggest.
package struct Sizing {
  let picture: Picture
  /// Of a session that was looked at for a while.
  let looks: RingLooks?

  package init(_ picture: Picture, _ looks: RingLooks? = nil) {
    self.picture = picture
    self.looks = looks
  }

  package var text: String {
    var columns: [TextTable.Column] = [
      .init("ring", .right), .init("part"), .init("now", .right),
    ]
    if looks != nil { columns += [.init("half", .right), .init("90 %", .right)] }
    columns += [.init("peak", .right), .init("size", .right), .init("peak of it", .right)]
    var table = TextTable(columns)
    for ring in picture.rings {
      func add(_ title: String, _ part: RingLooks.Part, _ peak: UInt64?, _ size: UInt64) {
        func show(_ value: UInt64) -> String {
          [.payload, .heap].contains(part) ? bytes(value) : "\(value)"
        }
        var cells = ["\(ring.index)", title, part.used(ring).map(show) ?? "?"]
        if let looks {
          for percent in [50, 90] {
            cells.append(looks.most(percent, of: part, ring: ring.index).map(show) ?? "?")
          }
        }
        let share = peak.map { "\(fixed(100 * Double($0) / Double(size), 1)) %" }
        table.add(cells + [peak.map(show) ?? "-", show(size), share ?? "-"])
      }
      let (peaks, sizes) = (ring.peaks, ring.sizes)
      add("task window", .main, UInt64(peaks.main), UInt64(sizes.taskWindow))
      add("consumed window", .consumed, UInt64(peaks.consumed), UInt64(sizes.consumedWindow))
      add("dependency pool", .pool, UInt64(peaks.pool), UInt64(sizes.dependencyPool))
      add("payload", .payload, nil, sizes.payloadBytes)
      add("heap", .heap, peaks.heap, sizes.heapBytes)
    }
    let seen = looks.map { "At half and at 90 % of \($0.count) looks no more was in use.\n" } ?? ""
    return table.text + "\n" + seen
      + "Peaks are since the session began; the segment has none of the payload.\n"
      + "Sizes for these peaks: \(suggestion)\n" + ScopeSizing(picture).text + traceText
  }

  private var traceText: String {
    picture.trace.map { "Trace: \($0.text)\n" } ?? ""
  }

  /// Options with a value a ring: the next size that the peaks fit.
  package var suggestion: String { sizes(entries: { _ in nil }, heap: { _ in nil }) }

  /// The same with another need of consumed entries or heap, where one is given for a ring.
  func sizes(
    entries: (RingPicture) -> UInt64?, heap: (RingPicture) -> UInt64?
  ) -> String {
    func list(_ value: (RingPicture) -> UInt64) -> String {
      let values = picture.rings.map(value)
      return Set(values).count == 1
        ? "\(values[0])" : values.map(String.init).joined(separator: ",")
    }
    func consumed(_ ring: RingPicture) -> UInt64 {
      let need = entries(ring) ?? UInt64(ring.peaks.consumed)
      return max(window(ring), powerOfTwo(need, least: 2))
    }
    func window(_ ring: RingPicture) -> UInt64 { powerOfTwo(UInt64(ring.peaks.main), least: 2) }
    let heaps = list { ring in
      max(64, ((heap(ring) ?? ring.peaks.heap) + 63) / 64 * 64)
    }
    let pools = list { powerOfTwo(UInt64($0.peaks.pool), least: 4) }
    return
      "--task-window \(list(window)) --consumed-window \(list(consumed)) --heap \(heaps) --dep-pool \(pools)"
  }

  package var json: JSONObject {
    var object = JSONObject()
    object.add("place", picture.place)
    object.add(
      "rings",
      picture.rings.map { ring in
        var entry = JSONObject()
        entry.add("ring", ring.index)
        entry.add("task_window", ring.sizes.taskWindow)
        entry.add("main_used", ring.isDamaged ? 0 : ring.mainUsed)
        entry.add("peak_main", ring.peaks.main)
        entry.add("consumed_window", ring.sizes.consumedWindow)
        entry.add("consumed_used", ring.isDamaged ? 0 : ring.consumedUsed)
        entry.add("peak_consumed", ring.peaks.consumed)
        entry.add("dep_pool", ring.sizes.dependencyPool)
        entry.add("dep_pool_used", ring.poolUsed ?? 0)
        entry.add("peak_dep_pool", ring.peaks.pool)
        entry.add("heap_bytes", ring.sizes.heapBytes)
        entry.add("heap_used", ring.heapUsed ?? 0)
        entry.add("peak_heap_bytes", ring.peaks.heap)
        looks?.add(ring: ring.index, to: &entry)
        return entry
      })
    if let looks { object.add("looks", looks.count) }
    object.add("suggestion", suggestion)
    ScopeSizing(picture).add(to: &object)
    picture.trace?.add(to: &object)
    object.add("damage", picture.damage)
    return object
  }
}

private func powerOfTwo(_ value: UInt64, least: UInt64) -> UInt64 {
  var power = least
  while power < value && power < 1 << 40 { power *= 2 }
  return power
}

/// The sections of a segment, and what a configuration costs.
package struct LayoutText {
  let configuration: Configuration
  let layout: SegmentLayout

  package init(_ configuration: Configuration, _ layout: SegmentLayout) {
    self.configuration = configuration
    self.layout = layout
  }

  package static func writers(_ set: RoleSet) -> String {
    [(RoleSet.orchestrator, "orchestrator"), (.scheduler, "scheduler"), (.worker, "worker")]
      .filter { set.contains($0.0) }.map(\.1).joined(separator: ", ")
  }

  private func title(_ section: SegmentLayout.Section) -> String {
    let spec = section.kind.spec
    let title = spec.title.hasPrefix("the ") ? String(spec.title.dropFirst(4)) : spec.title
    return title + (spec.isPerRing ? " \(section.ring)" : "")
  }

  package var text: String {
    var table = TextTable([
      .init("section"), .init("offset", .right), .init("bytes", .right), .init("records", .right),
      .init("each", .right), .init("written by"), .init("memory is taken"),
    ])
    for section in layout.sections where section.bytes > 0 {
      let spec = section.kind.spec
      let stride = spec.kind == .cores ? layout.coreStride : spec.stride
      table.add([
        title(section), "\(section.offset)", bytes(section.bytes),
        "\(section.usedBytes / stride)", "\(stride)", Self.writers(section.writers),
        spec.reservation == .creation ? "at creation" : spec.reservation.rawValue,
      ])
    }
    return table.text + "\n" + cost
  }

  private func sum(_ isWanted: (SegmentLayout.Section) -> Bool) -> UInt64 {
    layout.sections.filter(isWanted).reduce(0) { $0 + $1.bytes }
  }

  /// What is taken at once, what as tasks come, and what two rings for one save.
  package var cost: String {
    let data: Set<SectionKind> = [.heap, .arena]
    let atOnce = sum { $0.isReservedAtCreation }
    let records = sum { !$0.isReservedAtCreation && !data.contains($0.kind) }
    let (dual, single) = (taskBytes, singleBytes)
    return """
      all of it         \(bytes(layout.totalBytes)) of addresses
      at creation       \(bytes(atOnce)) of memory
      as tasks come     \(bytes(records)) more at most, for records
      as data comes     \(bytes(sum { data.contains($0.kind) })) more at most, for heaps and arena
      two rings a task  \(bytes(dual)) for slots, descriptors, payloads and entries; one ring with as many tasks until CONSUMED would take \(bytes(single))

      """
  }

  private static let taskKinds: Set<SectionKind> = [
    .mainRing, .dispatchTable, .payload, .slotStates, .consumedRing,
  ]

  /// Of the sections that a task's slot, descriptor, payload, state and entry are in.
  package var taskBytes: UInt64 { sum { Self.taskKinds.contains($0.kind) } }

  /// The same if a main slot stayed until its task is CONSUMED.
  package var singleBytes: UInt64 {
    var one = configuration
    for ring in one.rings.indices { one.rings[ring].taskWindow = one.rings[ring].consumedWindow }
    return LayoutText(one, SegmentLayout(one, pageBytes: layout.pageBytes)).taskBytes
  }

  package var json: JSONObject {
    var object = JSONObject()
    object.add("total_bytes", layout.totalBytes)
    object.add("creation_bytes", sum { $0.isReservedAtCreation })
    object.add("task_bytes", taskBytes)
    object.add("single_ring_task_bytes", singleBytes)
    object.add(
      "sections",
      layout.sections.map { section in
        var entry = JSONObject()
        entry.add("section", title(section))
        entry.add("kind", section.kind.rawValue)
        entry.add("offset", section.offset)
        entry.add("bytes", section.bytes)
        entry.add("writers", Self.writers(section.writers))
        entry.add("reserved", section.kind.spec.reservation.rawValue)
        return entry
      })
    return object
  }
}
