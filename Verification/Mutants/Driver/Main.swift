internal import ArgumentParser
internal import Harness
internal import PTO2System

@main
struct MutantsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2-mutants",
    abstract: "Mistakes in a copy of the code, each of which something must notice.",
    discussion: """
      Copies the tree to a temporary folder, applies one patch of Verification/Mutants at a time,
      builds, and runs what is to kill it: the simulation, or tests by name. Prints who did.

        make mutants
        pto2-mutants --only no-toggle --only no-wake
        pto2-mutants --list

      Exit status: 0 when every mutant is killed, 1 when one survives, 2 for one that cannot be
      applied or built.
      """)

  @Option(help: "This mutant alone; may be repeated.")
  var only: [String] = []

  @Flag(help: "The mutants, and who is to notice them.")
  var list = false

  private static let folder = repositoryRoot + "Verification/Mutants/"
  private static let broken: Int32 = 2

  func validate() throws {
    let names = Set(Mutant.all(in: Self.folder).map(\.name))
    for name in only where !names.contains(name) {
      throw ValidationError("--only \(name): no such mutant, see --list")
    }
  }

  func run() throws {
    let mutants = Mutant.all(in: Self.folder)
      .filter { only.isEmpty || only.contains($0.name) }
    var columns: [TextTable.Column] = [
      .init("mutant", width: 20), .init("what is wrong", width: 58),
    ]
    if list {
      var table = TextTable(columns + [.init("killers")])
      for mutant in mutants {
        table.add([mutant.name, mutant.wrong, mutant.killers.joined(separator: ", ")])
      }
      return writeOutput(table.text)
    }
    columns.append(.init("result"))
    let table = TextTable(columns)
    writeOutput(table.header + "\n")
    let tree = Tree()
    defer { tree.remove() }
    var status: Int32 = 0
    for mutant in mutants {
      let (result, code) = judge(mutant, tree)
      status = max(status, code)
      writeOutput(table.line([mutant.name, mutant.wrong, result]) + "\n")
    }
    if status != 0 { throw ExitCode(status) }
  }

  private func judge(_ mutant: Mutant, _ tree: Tree) -> (String, Int32) {
    guard tree.apply(mutant) else { return ("CANNOT BE APPLIED", Self.broken) }
    defer { tree.revert(mutant) }
    for killer in mutant.killers {
      switch tree.ask(killer) {
      case .killed(let finding): return ("killed by \(killer): \(finding)", 0)
      case .doesNotBuild(let error): return ("DOES NOT BUILD: \(error)", Self.broken)
      case .survived: continue
      }
    }
    return ("SURVIVED", 1)
  }
}
