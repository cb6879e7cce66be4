import PTO2
import PTO2CommandLine

@main
struct Scale: ParsableCommand {
  @Option(help: "Elements.") var elements = 1 << 16
  @Option(help: "Elements a task works on.") var tile = 4096
  @OptionGroup var runtime: RuntimeOptions

  func run() throws {
    try runtime.run("scale", images: ["saxpy_kernel"]) { graph in
      let saxpy = try graph.kernel("saxpy")
      let x = try graph.externalTensor(of: Float.self, [elements])
      let y = try graph.externalTensor(of: Float.self, [elements])
      try graph.write(x) { x in
        for i in x.indices { x[i] = Float(i % 100) }
      }
      for begin in stride(from: 0, to: elements, by: tile) {
        let shape = Shape(min(tile, elements - begin))
        let from = try x.slice(from: [begin], shape: shape)
        let to = try y.slice(from: [begin], shape: shape)
        // Both write `to`, so the second waits for the first.
        for alpha in [Float(2), Float(3)] {
          try graph.submit(aiv: saxpy) { task in
            task.input(from)
            task.inout(to)
            task.scalar(alpha)
          }
        }
      }
      try graph.read(x, y) { x, y in
        for i in y.indices where y[i] != 5 * x[i] {
          try graph.fail("element \(i) is \(y[i])")
        }
      }
      graph.report("result", "verified")
    }
  }
}
