import PTO2Faults
import PTO2Script
import Testing

/// Scripts that are wrong, expressions, views and drawings.
@Suite struct ScriptTests {
  private func plan(_ text: String, seed: Int = 1) throws -> Plan {
    try Plan(try Script(text, knownOptions: SessionOptions.known), seed: seed)
  }

  /// The value of an expression, as the scalar of a task.
  private func value(_ expression: String) throws -> String {
    let text = """
      tensors: {x: {type: int32, shape: [4]}}
      graph:
        - for: i
          from: 5
          below: 6
          do:
            - {task: fill, args: [{overwrite: x}], scalars: ["\(expression)"]}
      """
    return try plan(text).tasks.map { "\($0.scalars[0])" }.joined()
  }

  @Test(arguments: [
    ("1 + 2 * 3", "7"), ("(1 + 2) * 3", "9"), ("-7 / 2", "-4"), ("-7 % 2", "1"), ("7 / -2", "-4"),
    ("7 % -2", "-1"), ("i - -i", "10"), ("0.5 * 4", "2.0"), ("1e2 / 8", "12.5"), ("i > 4", "1"),
    ("i * 2 == 11", "0"), ("i != 5", "0"), ("10 - 2 - 3", "5"), ("seed", "1"),
    ("9223372036854775807", "9223372036854775807"), ("- - 3", "3"),
  ])
  func expressionsHaveValues(expression: String, expected: String) throws {
    #expect(try value(expression) == expected, "\(expression)")
  }

  @Test(arguments: [
    ("1 +", "expected a number"), ("1 / 0", "division by zero"),
    ("i % (i - 5)", "division by zero"),
    ("9223372036854775807 + 1", "beyond 64 bits"), ("j", "no variable \"j\""),
    ("9223372036854775808", "beyond 64 bits"), ("1.2.3", "is no number"), ("(1", "expected ')'"),
    ("1 2", "expected an operator"), ("1.5 % 2", "for whole numbers"),
    (String(repeating: "(", count: 100), "more than 32 levels"),
    ("-9223372036854775807 - 2", "beyond 64 bits"), ("-9223372036854775807 * 2", "beyond 64 bits"),
    ("(-9223372036854775807 - 1) / -1", "beyond 64 bits"),
  ])
  func expressionsAreRefused(expression: String, words: String) {
    do {
      let found = try value(expression)
      Issue.record("\(expression) is \(found)")
    } catch {
      let text = "\(error)"
      #expect(text.hasPrefix("7:") && text.contains(words), "\(expression): \(text)")
    }
  }

  private static let tensors = "tensors: {x: {shape: [4, 6]}, n: {type: int32, shape: [1]}}\n"

  @Test(arguments: [
    ("graph:\n  - {taks: add}", "2:6: unknown key \"taks\" of a step: did you mean \"task\"?"),
    ("graph:\n  - {task: fill, scalers: 1}", "2:18: unknown key \"scalers\" of a task"),
    ("graf: []", "1:1: the script has no \"graph\""),
    ("graph: []\nexpct: {}", "2:1: unknown key \"expct\" of the script: did you mean \"expect\"?"),
    ("graph: 3", "1:8: expected a list of steps, found 3"),
    ("timeout: 0\ngraph: []", "1:10: expected seconds above 0"),
    ("tensors: {x: {shape: 4, type: int23}}\ngraph: []", "1:31: no type \"int23\", did you mean"),
    ("tensors: {x: {shape: [2], value: [1]}}\ngraph: []", "1:11: 1 values for a tensor of 2"),
    ("tensors: {x: {shape: [-1]}}\ngraph: []", "1:23: expected an extent"),
    ("tensors: {x: {shape: [20000000]}}\ngraph: []", "1:23: expected an extent"),
    ("tensors: {1x: {shape: [1]}}\ngraph: []", "1:11: \"1x\" is no name"),
    ("session: {clustrs: 2}\ngraph: []", "1:11: unknown key \"clustrs\" of \"session\": did you"),
    ("session: {drain: 2}\ngraph: []", "1:18: expected true or false"),
    ("session: {faults: x}\ngraph: []", "1:11: unknown key \"faults\""),
    ("graph: []\nfaults: [{at: 1, do: kil}]", "2:22: \"do\": expected one of kill"),
    ("graph: []\nfaults: []", "2:9: \"faults\" is empty"),
    ("graph: []\nactions: [{signal: KIL, to: scheduler}]", "2:20: expected KILL"),
    ("graph: []\nactions: [{signal: KILL}]", "2:11: an action has no \"to\""),
    ("graph: []\nactions: [{start: worker}]", "2:11: an action has no \"cores\""),
    ("graph: []\nactions: [{start: worker, cores: gpu1}]", "2:34: expected a core"),
    ("graph: []\nactions: [{when: {relased: 1}, stuck: x}]", "2:19: unknown key \"relased\""),
    ("graph: []\nexpect: {error: 6}", "2:17: expected an error"),
    ("graph: []\nexpect: {results: {z: 1}}", "2:20: unknown key \"z\""),
    ("graph: []\nexpect: {seconds: soon}", "2:19: expected a number, or a bound"),
    ("graph: []\nexpect: {leftovers: some}", "2:21: expected none, segment, any"),
    ("kernels: {k: ad}\ngraph: []", "1:14: no built-in kernel \"ad\", did you mean \"add\"?"),
  ])
  func wrongScriptsAreRefused(text: String, words: String) {
    do {
      _ = try plan(text)
      Issue.record("taken: \(text)")
    } catch { #expect("\(error)".hasPrefix(words), "\(error)") }
  }

  @Test(arguments: [
    ("{task: add, args: [{in: x}, {in: x}]}", "3:12: add takes 3 tensors, found 2"),
    ("{task: fill, args: [{overwrite: x}]}", "3:12: fill takes 1 scalars, found 0"),
    ("{task: fill, args: [{in: x}], scalars: 1}", "3:12: fill writes tensor 0"),
    ("{task: increase, args: [{out: t, shape: 4, type: int8}], scalars: 1}", "3:12: increase chan"),
    ("{task: copy, args: [{in: x}, {overwrite: n}]}", "3:12: copy takes tensors of one type"),
    ("{task: copy, args: [{in: x}, {out: t, shape: 5}]}", "3:12: copy takes as many elements"),
    ("{task: none, args: [{in: y}]}", "3:30: no tensor \"y\" here: did you mean \"n\"?"),
    ("{task: none, args: [{in: \"x[9]\"}]}", "3:32: the start of dimension 0 is 9: expected"),
    ("{task: none, args: [{in: \"x[4]\"}]}", "3:32: index 4 of dimension 0, which has 4"),
    ("{task: none, args: [{in: \"x[2:1]\"}]}", "3:32: the end of dimension 0 is 1: expected"),
    ("{task: none, args: [{in: \"x[::0]\"}]}", "3:32: the step of dimension 0 is 0: expected"),
    ("{task: none, args: [{in: \"x[0,0,0]\"}]}", "3:32: 3 ranges for a tensor [4, 6]"),
    ("{task: none, args: [{in: x.reshape(5)}]}", "3:31: [4, 6] cannot become [5]"),
    ("{task: none, args: [{in: x.T.reshape(24)}]}", "3:33: a view [6, 4] with gaps"),
    ("{task: none, args: [{in: x.flip(0)}]}", "3:31: expected .T, .transpose"),
    ("{task: none, args: [{in: x, shape: 4}]}", "3:33: unknown key \"shape\" of an argument"),
    ("{task: none, args: [{out: t}]}", "3:25: the output has no \"type\""),
    ("{task: none, after: nobody}", "3:25: no earlier task has the name \"nobody\""),
    ("{task: fill, aiv0: fill, args: [{out: t}]}", "3:24: \"task\" is the kernel of aiv0"),
    ("{task: none, when: \"n[0]\"}", "3:29: expected a comparison"),
    ("{task: none, when: \"n > 0\"}", "3:25: expected one element"),
    ("{task: none, recovery: twice}", "3:28: expected automatic, again, once"),
    ("{task: none, blocks: 1.5}", "3:5: the number of blocks is 1.5"),
    ("{for: i, below: 9, step: 0, do: []}", "3:5: the step of the loop is 0"),
    ("{repeat: 300000, do: []}", "3:5: the graph has more than 200000 steps"),
    ("{scope: inner, do: []}", "3:13: expected automatic, manual, or {name: ...}, found \"inner\""),
    ("{get: x}", "3:11: expected one element"),
    ("{set: \"n[0]\"}", "3:5: a step \"set\" has no \"to\""),
  ])
  func wrongStepsAreRefused(step: String, words: String) {
    do {
      _ = try plan(Self.tensors + "graph: [{repeat: 1, do: []},\n    \(step)]")
      Issue.record("taken: \(step)")
    } catch {
      #expect("\(error)".hasPrefix(words), "\(error)")
    }
  }

  /// Outputs end with their scope, and names can be used again.
  @Test func outputsEndWithTheirScope() throws {
    let inner = "{task: fill, args: [{out: t, type: int8, shape: 2}], scalars: 1}"
    let use = "{task: none, args: [{in: t}]}"
    _ = try plan("graph: [{scope: manual, do: [\(inner), \(use)]}]")
    #expect(throws: TextError.self) {
      try self.plan("graph: [{scope: manual, do: [\(inner)]}, \(use)]")
    }
  }

  @Test func viewsAreListsOfPlaces() throws {
    let text = """
      tensors: {x: {type: int8, shape: [3, 4]}}
      graph:
        - {task: none, args: [{in: "x[1:3, ::2]"}]}
        - {task: none, args: [{in: x.T}]}
        - {task: none, args: [{in: "x[2].broadcast(2, 4)"}]}
        - {task: none, args: [{in: "x.reshape(2, 6)[1, 4:]"}]}
        - {task: none, args: [{in: "x[1:1]"}]}
        - {task: none, args: [{in: "x[::9999999, ::9999999][::9999999, ::9999999].T[::9999999]"}]}
      """
    let places = try plan(text).tasks.map { $0.arguments[0].view.places }
    #expect(
      places == [
        [4, 6, 8, 10], [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11], [8, 9, 10, 11, 8, 9, 10, 11],
        [10, 11], [], [0],
      ])
  }

  /// Who waits for whom, worked out from the elements alone.
  @Test func edgesFollowFromTheElements() throws {
    let text = """
      tensors: {x: {type: int32, shape: [8]}, y: {type: int32, shape: [8]}}
      graph:
        - {task: fill, args: [{overwrite: "x[:4]"}], scalars: 1}
        - {task: fill, args: [{overwrite: "x[4:]"}], scalars: 2}
        - {task: copy, args: [{in: x}, {overwrite: y}]}
        - {task: fill, name: last, args: [{overwrite: "x[2:6]"}], scalars: 3}
        - scope: manual
          do:
            - {task: fill, args: [{overwrite: x}], scalars: 4, after: last}
        - {task: none, when: "x[0] > 0", args: [{unordered: y}]}
      """
    let drawing = Drawing(try plan(text))
    #expect(drawing.edges == [[], [], [0, 1], [0, 1, 2], [3], [0]], "\(drawing.edges)")
    #expect(drawing.dot.contains("t2 -> t3;") && drawing.dot.contains("subgraph cluster_1"))
    #expect(drawing.svg.hasPrefix("<svg ") && drawing.svg.hasSuffix("</svg>\n"))
  }

  @Test func seedsChangeRandomValues() throws {
    let text = "tensors: {x: {shape: [4]}}\ngraph: [{task: none, name: \"a_{seed}\"}]"
    #expect(try plan(text, seed: 1).tasks[0].name == "a_1")
    #expect(try plan(text, seed: 2).tasks[0].name == "a_2")
  }
}
