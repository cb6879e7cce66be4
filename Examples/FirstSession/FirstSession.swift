import PTO2

/// Three graphs in one session; the second fails, and the third does not notice.
@main
struct FirstSession {
  static func main() throws {
    let session = try Session(images: ["VectorKernels"])
    for (name, extra) in [("first", 0), ("second", 17), ("third", 0)] {
      do {
        let report = try session.run { graph in try sum(graph, extraScalars: extra) }
        print("\(name): \(report.tasks) tasks on \(report.cores.count) cores")
      } catch {
        print("\(name): \(error)")
      }
    }
  }

  /// (a + b) + 1, in two tasks.
  static func sum(_ graph: Graph, extraScalars: Int) throws {
    let (add, addScalar) = (try graph.kernel("vec_add"), try graph.kernel("vec_add_scalar"))
    let a = try graph.externalTensor(of: Float.self, [1000])
    let b = try graph.externalTensor(of: Float.self, [1000])
    let result = try graph.externalTensor(of: Float.self, [1000])
    try graph.write(a, b) { a, b in for i in a.indices { (a[i], b[i]) = (Float(i), 2) } }
    try graph.scope {
      let sum = try graph.submit(aiv: add) { task in
        task.input(a)
        task.input(b)
        return task.output(of: Float.self, [1000])
      }
      try graph.submit(aiv: addScalar) { task in
        task.input(sum)
        task.overwrite(result)
        task.scalar(Float(1))
        for _ in 0..<extraScalars { task.scalar(0) }
      }
    }
    print("the last element is \(try graph.array(result)[999])")
  }
}
