internal import Glibc
internal import PTO2System

/// Efficiency over granularity, one picture for each graph below the other.
enum Plot {
  private static let width = 640.0
  private static let height = 360.0
  private static let margin = 60.0
  private static let colours = ["#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b"]

  static func write(_ results: [CaseResult], _ plan: Plan, to path: String) throws(PlotError) {
    let total = height * Double(results.count)
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(fixed(width, 0))" \
      height="\(fixed(total, 0))" font-family="sans-serif" font-size="12">
      <rect width="100%" height="100%" fill="white"/>

      """
    for (index, result) in results.enumerated() {
      text += "<g transform=\"translate(0,\(fixed(height * Double(index), 0)))\">\n"
      text += picture(result, plan) + "</g>\n"
    }
    text += "</svg>\n"
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw PlotError(path: path) }
    defer { close(descriptor) }
    let bytes = [UInt8](text.utf8)
    let count = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.write(descriptor, $0.baseAddress!, $0.count)
    }
    guard count == bytes.count else { throw PlotError(path: path) }
  }

  private static func picture(_ result: CaseResult, _ plan: Plan) -> String {
    let all = result.systems.flatMap(\.points).map { $0.granularity(plan) }
    let least = floor(log10(all.min() ?? 1))
    let most = max(least + 1, ceil(log10(all.max() ?? 1)))
    func x(_ granularity: Double) -> Double {
      margin + (log10(granularity) - least) / (most - least) * (width - margin - 130)
    }
    func y(_ efficiency: Double) -> Double { height - margin - efficiency * (height - 100) }
    func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
      "<line x1=\"\(fixed(x1, 1))\" y1=\"\(fixed(y1, 1))\" x2=\"\(fixed(x2, 1))\" "
        + "y2=\"\(fixed(y2, 1))\" stroke=\"#ccc\"/>\n"
    }
    func label(_ x: Double, _ y: Double, _ anchor: String, _ words: String) -> String {
      "<text x=\"\(fixed(x, 1))\" y=\"\(fixed(y, 1))\" text-anchor=\"\(anchor)\">\(words)</text>\n"
    }
    var text = label(width / 2, 20, "middle", result.example.name)
    for percent in [0, 25, 50, 75, 100] {
      let height = y(Double(percent) / 100)
      text += line(x(pow(10, least)), height, x(pow(10, most)), height)
      text += label(margin - 6, height + 4, "end", "\(percent) %")
    }
    for decade in Int(least)...Int(most) {
      let place = x(pow(10, Double(decade)))
      text += line(place, y(0), place, y(1))
      let words =
        decade < 0 ? fixed(pow(10, Double(decade)), -decade) : fixed(pow(10, Double(decade)), 0)
      text += label(place, y(0) + 16, "middle", words)
    }
    text += label(width / 2, height - 22, "middle", "wall time x CPUs / tasks, us")
    for (index, system) in result.systems.enumerated() {
      let colour = colours[index % colours.count]
      let points = system.points.map {
        "\(fixed(x($0.granularity(plan)), 1)),\(fixed(y($0.rate / result.peak), 1))"
      }
      text += "<polyline fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\" "
      text += "points=\"\(points.joined(separator: " "))\"/>\n"
      text += "<g fill=\"\(colour)\">"
      text += label(width - 120, 60 + 18 * Double(index), "start", system.system.name) + "</g>\n"
    }
    return text
  }
}

struct PlotError: Error, CustomStringConvertible {
  var path: String
  var description: String { "\(path) cannot be written" }
}
