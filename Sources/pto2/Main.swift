internal import ArgumentParser
internal import PTO2Segment
internal import PTO2System

@main
struct Tool: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pto2",
    abstract:
      "Shows sessions of pto2, live and dead, looks after their segments, and runs scripts.",
    discussion: """
      A session is given by the name of its segment in /dev/shm, or by the path of a file that \
      is one or a copy of one. All commands that take one but reap only read, and disturb \
      nothing. Scripts are files with a graph and what must hold of it.

      Examples:
        pto2 list
        pto2 stuck my-session
        pto2 top my-session
        pto2 test Tests/Scripts/basics
        pto2 compile vector.cpp --kernel 0:aiv:add.cpp
        pto2 --generate-completion-script bash > ~/.local/share/bash-completion/completions/pto2
      """,
    version: versionText("pto2"),
    subcommands: [
      List.self, Reap.self, Stuck.self, Top.self, Inspect.self, Stat.self, Decode.self,
      Layout.self, Doctor.self, TraceCommand.self, Report.self, Test.self, Run.self,
      DrawGraph.self, Record.self, Compile.self,
    ])

  static func main() {
    holdStandardDescriptors()
    hearOfChildren()
    main(nil)
  }
}
