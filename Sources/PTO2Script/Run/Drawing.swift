internal import PTO2Faults
internal import PTO2Orchestrator
internal import PTO2Protocol
package import PTO2System

/// A graph as a picture: tasks, and who waits for whom.
package struct Drawing {
  private let plan: Plan
  private let tasks: [PlannedTask]
  /// By task: those it waits for, each once, in order.
  package let edges: [[Int]]

  package init(_ plan: Plan) {
    self.plan = plan
    tasks = plan.tasks
    edges = Dependencies(plan).edges
  }

  private func label(_ number: Int) -> String {
    let task = tasks[number]
    let kernels = task.kernels.map { kernel in
      kernel.name.hasPrefix("script_") ? kernel.does?.rawValue ?? kernel.name : kernel.name
    }
    var lines = [task.name]
    let words = kernels.joined(separator: "+")
    if words != task.name && !words.isEmpty { lines.append(words) }
    if task.blocks > 1 { lines.append("\(task.blocks) blocks") }
    if task.predicate != nil { lines.append("if") }
    return lines.joined(separator: "\n")
  }

  /// One object; a task by its number, from 0 on.
  package var json: JSONObject {
    var object = JSONObject()
    object.add(
      "tasks",
      tasks.indices.map { number in
        var task = JSONObject()
        task.add("name", tasks[number].name)
        task.add("kernels", tasks[number].kernels.map(\.name))
        task.add("line", tasks[number].place.line)
        task.add("after", edges[number].map { "\($0)" })
        return task
      })
    return object
  }

  /// For `dot` of Graphviz: tasks of a scope stand in a box.
  package var dot: String {
    var text = "digraph pto2 {\n  rankdir=TB;\n  node [shape=box, fontname=\"sans-serif\"];\n"
    var number = 0
    var scope = 0
    var depth = 1
    for operation in plan.operations {
      let indent = String(repeating: "  ", count: depth)
      switch operation {
      case .beginScope(let mode, let name):
        scope += 1
        depth += 1
        text += "\(indent)subgraph cluster_\(scope) {\n"
        let label = (mode == .manual ? "manual scope" : "scope") + (name.isEmpty ? "" : " " + name)
        text += "\(indent)  label=\(JSONObject.quoted(label));\n"
      case .endScope:
        depth -= 1
        text += String(repeating: "  ", count: depth) + "}\n"
      case .task:
        let label = label(number).replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
        text += "\(indent)t\(number) [label=\"\(label)\"];\n"
        number += 1
      default: break
      }
    }
    for (task, producers) in edges.enumerated() {
      for producer in producers { text += "  t\(producer) -> t\(task);\n" }
    }
    return text + "}\n"
  }

  /// One layer below the other: a task stands below all that it waits for.
  package var svg: String {
    var layers: [[Int]] = []
    var layerOf: [Int] = []
    for producers in edges {
      let layer = (producers.map { layerOf[$0] }.max() ?? -1) + 1
      layerOf.append(layer)
      if layers.count == layer { layers.append([]) }
      layers[layer].append(layerOf.count - 1)
    }
    let (width, height, gap) = (132, 44, 28)
    let columns = layers.map(\.count).max() ?? 1
    let total = (columns * (width + gap) + gap, layers.count * (height + gap + 16) + gap)
    var place = [(x: Int, y: Int)](repeating: (0, 0), count: tasks.count)
    for (row, layer) in layers.enumerated() {
      let free = (columns - layer.count) * (width + gap) / 2
      for (column, task) in layer.enumerated() {
        place[task] = (gap + free + column * (width + gap), gap + row * (height + gap + 16))
      }
    }
    var text =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(total.0)\" height=\"\(total.1)\" viewBox=\"0 0 \(total.0) \(total.1)\" font-family=\"sans-serif\" font-size=\"12\">\n"
      + "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    for (task, producers) in edges.enumerated() {
      for producer in producers {
        let (a, b) = (place[producer], place[task])
        text +=
          "<line x1=\"\(a.x + width / 2)\" y1=\"\(a.y + height)\" x2=\"\(b.x + width / 2)\" y2=\"\(b.y)\" stroke=\"#888\"/>\n"
      }
    }
    for task in tasks.indices {
      let (x, y) = place[task]
      let colour = tasks[task].kernels.contains { $0.slot == .aic } ? "#e7f0fb" : "#eef7ea"
      text +=
        "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"\(height)\" rx=\"5\" fill=\"\(colour)\" stroke=\"#555\"/>\n"
      for (line, words) in label(task).split(separator: "\n").prefix(2).enumerated() {
        text +=
          "<text x=\"\(x + width / 2)\" y=\"\(y + 18 + 16 * line)\" text-anchor=\"middle\">\(escaped(String(words.prefix(19))))</text>\n"
      }
    }
    return text + "</svg>\n"
  }
}

/// Who waits for whom, element by element.
private struct Dependencies {
  private(set) var edges: [[Int]] = []
  private let plan: Plan
  /// By buffer and element.
  private var writers: [[Int?]]
  private var readers: [[[Int]]]
  private var creators: [Int: Int] = [:]

  init(_ plan: Plan) {
    self.plan = plan
    writers = plan.buffers.map { [Int?](repeating: nil, count: $0.count) }
    readers = plan.buffers.map { [[Int]](repeating: [], count: $0.count) }
    var modes = [ScopeMode.automatic]
    for operation in plan.operations {
      switch operation {
      case .beginScope(let mode, _): modes.append(mode)
      case .endScope: modes.removeLast()
      case .task(let task): add(task, isManual: modes.last == .manual)
      default: break
      }
    }
  }

  private mutating func add(_ task: PlannedTask, isManual: Bool) {
    let number = edges.count
    var found = Set(task.after + task.retain)
    if let predicate = task.predicate {
      use(.input, predicate.view.element(predicate.index), number, isManual, &found)
    }
    for argument in task.arguments {
      use(argument.access, argument.view, number, isManual, &found)
    }
    found.remove(number)
    edges.append(found.sorted())
  }

  private mutating func use(
    _ access: Access, _ view: View, _ number: Int, _ isManual: Bool, _ found: inout Set<Int>
  ) {
    let buffer = view.buffer
    if access.isNew { creators[buffer] = number }
    if let creator = creators[buffer] { found.insert(creator) }
    if isManual || access == .unordered { return }
    for place in view.places {
      if let writer = writers[buffer][place] { found.insert(writer) }
      if access == .input {
        readers[buffer][place].append(number)
      } else {
        found.formUnion(readers[buffer][place])
        writers[buffer][place] = number
        readers[buffer][place] = []
      }
    }
  }
}
