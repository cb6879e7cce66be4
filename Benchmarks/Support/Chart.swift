internal import Glibc
package import PTO2System

/// Shares of a whole, in percent, over lengths from decade to decade; or figures with a scale of
/// their own: some lines.
package struct Chart {
  package struct Line {
    var name: String
    var points: [(length: Double, share: Double)]

    package init(_ name: String, _ points: [(length: Double, share: Double)]) {
      self.name = name
      self.points = points
    }
  }

  var title: String
  /// Under the lengths.
  var label: String
  var lines: [Line]
  /// Nil: the shares are such, and the scale goes to 100 %.
  var top: Double?

  /// - Parameter isShare: false: the scale goes to a round number above all points.
  package init(_ title: String, _ label: String, _ lines: [Line], isShare: Bool = true) {
    self.title = title
    self.label = label
    self.lines = lines
    top = isShare ? nil : Self.roundNumber(above: lines.flatMap { $0.points.map(\.share) }.max())
  }

  /// 1, 2 or 4 in some decade, which four steps divide well.
  private static func roundNumber(above most: Double?) -> Double {
    let most = max(most ?? 1, 1e-9)
    let decade = pow(10, floor(log10(most)))
    return [1, 2, 4, 10].map { $0 * decade }.first { $0 >= most } ?? 10 * decade
  }

  /// What the scale says at a share of its height.
  private func mark(_ percent: Int) -> String {
    guard let top else { return "\(percent) %" }
    return fixed(top * Double(percent) / 100, max(0, 2 - Int(floor(log10(top)))))
  }

  private static let width = 640.0
  private static let height = 360.0
  private static let margin = 60.0
  private static let colours = ["#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b"]

  /// One picture below the other, as SVG.
  package static func write(_ charts: [Chart], to path: String) throws(SystemError) {
    let total = height * Double(charts.count)
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(fixed(width, 0))" \
      height="\(fixed(total, 0))" font-family="sans-serif" font-size="12">
      <rect width="100%" height="100%" fill="white"/>

      """
    for (index, chart) in charts.enumerated() {
      text += "<g transform=\"translate(0,\(fixed(height * Double(index), 0)))\">\n"
      text += chart.picture + "</g>\n"
    }
    text += "</svg>\n"
    let file = try OutputFile(creating: path)
    file.write(Array(text.utf8))
    if let error = file.error { throw error }
  }

  private var picture: String {
    let (width, height, margin) = (Self.width, Self.height, Self.margin)
    let all = lines.flatMap { $0.points.map(\.length) }
    let least = floor(log10(all.min() ?? 1))
    let most = max(least + 1, ceil(log10(all.max() ?? 1)))
    func x(_ length: Double) -> Double {
      margin + (log10(length) - least) / (most - least) * (width - margin - 130)
    }
    func y(_ share: Double) -> Double { height - margin - share / (top ?? 1) * (height - 100) }
    func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
      "<line x1=\"\(fixed(x1, 1))\" y1=\"\(fixed(y1, 1))\" x2=\"\(fixed(x2, 1))\" "
        + "y2=\"\(fixed(y2, 1))\" stroke=\"#ccc\"/>\n"
    }
    func words(_ x: Double, _ y: Double, _ anchor: String, _ words: String) -> String {
      "<text x=\"\(fixed(x, 1))\" y=\"\(fixed(y, 1))\" text-anchor=\"\(anchor)\">\(words)</text>\n"
    }
    var text = words(width / 2, 20, "middle", title)
    for percent in [0, 25, 50, 75, 100] {
      let height = y(Double(percent) / 100 * (top ?? 1))
      text += line(x(pow(10, least)), height, x(pow(10, most)), height)
      text += words(margin - 6, height + 4, "end", mark(percent))
    }
    for decade in Int(least)...Int(most) {
      let place = x(pow(10, Double(decade)))
      text += line(place, y(0), place, y(top ?? 1))
      text += words(
        place, y(0) + 16, "middle", fixed(pow(10, Double(decade)), max(0, -decade)))
    }
    text += words(width / 2, height - 22, "middle", label)
    for (index, line) in lines.enumerated() {
      let colour = Self.colours[index % Self.colours.count]
      let points = line.points.map { "\(fixed(x($0.length), 1)),\(fixed(y($0.share), 1))" }
      text += "<polyline fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\" "
      text += "points=\"\(points.joined(separator: " "))\"/>\n"
      text += "<g fill=\"\(colour)\">"
      text += words(width - 120, 60 + 18 * Double(index), "start", line.name) + "</g>\n"
    }
    return text
  }
}
