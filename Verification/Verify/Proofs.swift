internal import ArgumentParser
internal import Harness
internal import PTO2Faults
internal import PTO2System

/// A way of showing something; each is a folder of Verification/.
enum Proof: String, CaseIterable, ExpressibleByArgument {
  case models, simulation, fuzzing, campaign

  func run(isShort: Bool, _ report: inout Report) {
    switch self {
    case .models: models(isShort, &report)
    case .simulation: simulation(isShort, &report)
    case .fuzzing: fuzzing(seconds: isShort ? 4 : 20, &report)
    case .campaign: campaign(kills: isShort ? 500 : 2000, &report)
    }
  }

  private func models(_ isShort: Bool, _ report: inout Report) {
    let script = "Verification/Models/verify-models"
    var property = ""
    for row in lines(of: [script, "--models-only", "--json"], &report) {
      // The property of the row before.
      if row["properties"] != "the same" { property = row["properties"] }
      report.add(
        property, "model", "\(row["model"]): \(row["bounds"])", row.count("states"), "states",
        row["result"], passes: row["result"] == "verified")
    }
    if isShort { return }
    let mutants = lines(of: [script, "--mutants-only", "--json"], &report)
    let killed = mutants.count { $0["result"].hasPrefix("killed:") }
    report.add(
      "each mistake is found", "model", "mutants of the models", killed, "mutants",
      killed == mutants.count ? "all killed" : "\(mutants.count - killed) SURVIVE",
      passes: killed == mutants.count && killed > 0)
  }

  private func simulation(_ isShort: Bool, _ report: inout Report) {
    guard run(["make", "simulator"], &report) != nil else { return }
    let simulator = "Verification/.build/simulate/release/pto2-simulate"
    for row in array(of: [simulator, "--json"] + (isShort ? ["--short"] : []), &report) {
      let what = row["configuration"]
      let failures = row.count("failures")
      report.add(
        what.contains("crash")
          ? "survivors end; nothing done twice; results right if none FAILED"
          : "invariants at every step; no lost wake; the interpreter's results",
        "simulation", "\(row["strategy"]): \(what)", row.count("steps"), "steps",
        failures == 0 ? "ok" : "\(failures) FAILED", passes: failures == 0)
    }
  }

  private func fuzzing(seconds: Int, _ report: inout Report) {
    let command = ["Verification/Fuzzing/fuzz", "--seconds", "\(seconds)", "--json"]
    for row in lines(of: command, &report) {
      report.add(
        "a typed error or progress, never a trap", "fuzzing", row["target"],
        row.count("executions"), "executions", row["result"], passes: row["result"] == "ok")
    }
  }

  private func campaign(kills: Int, _ report: inout Report) {
    let command = [Command.buildDirectory + "pto2-campaign", "--kills", "\(kills)", "--json"]
    for row in lines(of: command, &report) {
      guard let total = row.members["total"].map(Fields.init) else { continue }
      let violations = total.count("violations")
      report.add(
        "results are right, each task is done once, nothing is left", "campaign",
        "seed \(row.count("seed")): \(total.count("sessions")) sessions of six graphs",
        row.count("kills"), "kills", violations == 0 ? "ok" : "\(violations) VIOLATIONS",
        passes: violations == 0)
    }
  }

  // MARK: Running them

  /// Standard output; what went wrong is shown as it is.
  private func run(_ words: [String], _ report: inout Report) -> String? {
    // Nothing here takes longer, on however slow a machine.
    let hour = 3600
    let command = Command(
      words[0], Array(words.dropFirst()), isOnPath: !words[0].contains("/"),
      workingDirectory: repositoryRoot)
    let result = command.wait(seconds: hour)
    if result.status != 0 {
      report.fail("\(words.joined(separator: " ")): status \(result.status)\n" + result.errors)
      return result.output.isEmpty ? nil : result.output
    }
    return result.output
  }

  /// One object a line.
  private func lines(of words: [String], _ report: inout Report) -> [Fields] {
    (run(words, &report) ?? "").split(separator: "\n").compactMap { line in
      parse(String(line), &report).map(Fields.init)
    }
  }

  /// An array of objects.
  private func array(of words: [String], _ report: inout Report) -> [Fields] {
    guard let text = run(words, &report), let node = parse(text, &report),
      case .array(let elements) = node.value
    else { return [] }
    return elements.map(Fields.init)
  }

  private func parse(_ text: String, _ report: inout Report) -> JSONNode? {
    do throws(TextError) {
      return try JSONReader.parse(text)
    } catch {
      report.fail("expected JSON, \(error): \(text.prefix(200))")
      return nil
    }
  }
}

/// A JSON object, by key.
private struct Fields {
  var members: [String: JSONNode] = [:]

  init(_ node: JSONNode) {
    guard case .object(let list) = node.value else { return }
    for member in list { members[member.key] = member.node }
  }

  /// A text; empty when there is none.
  subscript(key: String) -> String {
    guard case .string(let text)? = members[key]?.value else { return "" }
    return text
  }

  func count(_ key: String) -> Int {
    guard case .number(let number)? = members[key]?.value else { return 0 }
    return Int(number)
  }
}
