import BenchSupport
import CTaskBench
import Glibc
import PTO2System

/// What is printed and drawn: one table, and one picture, for each number of threads.
struct Figures {
  var command: ScalingCommand
  /// The quickest of each setting.
  var outcomes: [Outcome] = []

  private static let utilised = 0.9

  init(_ command: ScalingCommand) { self.command = command }

  static func name(_ pattern: taskbench_pattern) -> String {
    String(cString: taskbench_pattern_name(pattern))
  }

  private func rows(threads: Int) -> [[Outcome]] {
    command.clusterCounts.map { clusters in
      outcomes.filter { $0.setting.threads == threads && $0.setting.clusters == clusters }
    }
  }

  // MARK: Text

  var header: String {
    """
    \(MachineName.processor()), Linux \(MachineName.kernel()); \(command.patternName), \
    \(command.taskCount) tasks or a few less, the quickest of \(command.repeats)
    Percent: time in kernels / (time x cores), by kernel length. Scheduler: least time a task, \
    measured and \(command.line) for each line that another CPU wrote
    \(command.submit ? "Submitting takes its time" : "Submitting takes no time"); a core takes \
    \(command.core) a task beside the kernel
    90 % from: the shortest kernel with which cores are in kernels for so much of the time

    """
  }

  func text(threads: Int) -> String {
    var table = TextTable(
      [.init("clusters", .right), .init("cores", .right)]
        + command.kernels.map { .init(Self.length($0), .right, width: 6) } + [
          .init("90 % from", .right), .init("most tasks/s", .right),
          .init("scheduler ns/task", .right),
        ])
    for row in rows(threads: threads) {
      guard let first = row.first else { continue }
      table.add(
        ["\(first.setting.clusters)", "\(3 * first.setting.clusters)"]
          + row.map { fixed(100 * $0.utilisation, 0) + " %" } + [
            threshold(row), fixed(row.map(\.tasksPerSecond).max()!, 0),
            fixed(row.map(\.schedulerPerTask).min()!, 0),
          ])
    }
    return "\n\(threads) scheduler thread\(threads == 1 ? "" : "s")\n" + table.text
  }

  private static func length(_ microseconds: Double) -> String {
    fixed(microseconds, microseconds == microseconds.rounded() ? 0 : 2) + " us"
  }

  /// The kernel length at which the cores are utilised, log-linearly between two.
  private func threshold(_ row: [Outcome]) -> String {
    let points = row.map { (length: Double($0.setting.kernel) / 1000, share: $0.utilisation) }
      .sorted { $0.length < $1.length }
    guard let below = points.lastIndex(where: { $0.share < Self.utilised }) else {
      return "< " + Self.length(points[0].length)
    }
    if below + 1 == points.count { return "> " + Self.length(points[below].length) }
    let (low, high) = (points[below], points[below + 1])
    let share = (Self.utilised - low.share) / (high.share - low.share)
    let length = exp(log(low.length) + share * (log(high.length) - log(low.length)))
    return fixed(length, length < 10 ? 1 : 0) + " us"
  }

  // MARK: JSON

  var json: String {
    var json = JSONObject()
    json.add("processor", MachineName.processor())
    json.add("kernel", MachineName.kernel())
    json.add("pattern", command.patternName)
    json.add("line_us", microseconds(command.line[...]))
    json.add("core_us", microseconds(command.core[...]))
    json.add("submit_timed", command.submit)
    json.add("works_ahead", !command.noAhead)
    json.add("free_locks", command.freeLocks)
    json.add(
      "points",
      outcomes.map { outcome in
        var object = JSONObject()
        object.add("threads", outcome.setting.threads)
        object.add("clusters", outcome.setting.clusters)
        object.add("cores", 3 * outcome.setting.clusters)
        object.add("kernel_us", Double(outcome.setting.kernel) / 1000)
        object.add("tasks", outcome.tasks)
        object.add("dependencies", outcome.dependencies)
        object.add("virtual_us", Double(outcome.elapsed) / 1000)
        object.add("utilisation", outcome.utilisation)
        object.add("tasks_per_second", outcome.tasksPerSecond)
        object.add("scheduler_share", outcome.schedulerShare)
        object.add("scheduler_ns_per_task", outcome.schedulerPerTask)
        object.add("submit_ns_per_task", Double(outcome.submitting) / Double(outcome.tasks))
        object.add("lost_locks", outcome.lostLocks)
        return object
      })
    return json.text + "\n"
  }

  // MARK: Picture

  func plot(to path: String) throws {
    try Chart.write(
      command.threadCounts.map { threads in
        Chart(
          "\(command.patternName), \(threads) scheduler thread\(threads == 1 ? "" : "s"): cores' time in kernels",
          "kernel, us",
          rows(threads: threads).compactMap { row in
            guard let first = row.first else { return nil }
            return Chart.Line(
              "\(3 * first.setting.clusters) cores",
              row.map { (Double($0.setting.kernel) / 1000, $0.utilisation) })
          })
      }, to: path)
  }
}
