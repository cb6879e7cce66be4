package import PTO2System

/// What scopes that the program has named took of their rings, and sizes that hold each whole.
package struct ScopeSizing {
  private let picture: Picture
  private var facts: ScopeFacts { picture.scopes }

  package init(_ picture: Picture) { self.picture = picture }

  package var text: String {
    var text = ""
    if !facts.uses.isEmpty {
      var table = TextTable([
        .init("ring", .right), .init("scope"), .init("ended", .right), .init("part"),
        .init("half", .right), .init("90 %", .right), .init("largest", .right),
      ])
      for use in facts.uses {
        for (part, name, isBytes) in [
          (use.tasks, "tasks", false), (use.pool, "dependency pool", false),
          (use.heap, "heap", true),
        ] {
          func show(_ value: UInt64) -> String { isBytes ? bytes(value) : "\(value)" }
          let isFirst = name == "tasks"
          table.add([
            isFirst ? "\(use.ring)" : "", isFirst ? use.name : "",
            isFirst ? "\(use.scopes)" : "", name, show(part.quantile(0.5)),
            show(part.quantile(0.9)), show(part.peak),
          ])
        }
      }
      text += "\n" + table.text
      text += "Half and 90 % of a name's scopes took no more, to the next power of two.\n"
      text += "Sizes that hold each of these scopes whole: \(suggestion)\n"
    }
    for (count, what) in [(facts.unnamed, "scopes"), (facts.unnamedTasks, "tasks")] where count > 0
    {
      text += "Without a name, since there was no room for more: \(count) \(what)\n"
    }
    if facts.unmeasured > 0 {
      text += "Not in the table, which is full: \(facts.unmeasured) scopes\n"
    }
    return text
  }

  /// What a scope has until it ends are consumed entries and heap: of a ring with named scopes
  /// as much as the largest took; everything else as the peaks say.
  package var suggestion: String {
    func most(_ part: KeyPath<ScopeFacts.Use, ScopeFacts.Use.Part>) -> (RingPicture) -> UInt64? {
      { ring in
        picture.scopes.uses.lazy.filter { $0.ring == ring.index }
          .map { $0[keyPath: part].peak }.max()
      }
    }
    return Sizing(picture).sizes(entries: most(\.tasks), heap: most(\.heap))
  }

  package func add(to object: inout JSONObject) {
    object.add(
      "scopes",
      facts.uses.map { use in
        var entry = JSONObject()
        entry.add("scope", use.name)
        entry.add("ring", use.ring)
        entry.add("ended", use.scopes)
        for (name, part) in [
          ("tasks", use.tasks), ("dep_pool", use.pool), ("heap_bytes", use.heap),
        ] {
          entry.add("half_\(name)", part.quantile(0.5))
          entry.add("ninety_percent_\(name)", part.quantile(0.9))
          entry.add("peak_\(name)", part.peak)
        }
        return entry
      })
    object.add("unnamed_scopes", facts.unnamed)
    object.add("unnamed_tasks", facts.unnamedTasks)
    object.add("unmeasured_scopes", facts.unmeasured)
    if !facts.uses.isEmpty { object.add("scope_suggestion", suggestion) }
  }
}
