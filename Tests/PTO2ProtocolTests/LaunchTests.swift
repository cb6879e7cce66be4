import PTO2Protocol
import PTO2System
import Testing

/// What a launcher writes is what a scheduler or worker reads; anything else is
/// left to the argument parser.
@Suite struct LaunchTests {
  @Test(arguments: [nil, "aic0", "aiv79"])
  func argumentsAreReadBack(core: String?) {
    let launch = SupervisedLaunch(segment: "some-name", parent: 4711, core: core)
    #expect(SupervisedLaunch(launch.arguments) == launch)
  }

  @Test(
    arguments: [
      "", "--help", "--segment x", "--segment x --core aic0", "--segment x --parent",
      "--segment x --parent y", "--segment x --parent 07", "--parent 7 --segment x",
      "--segment x --parent 7 --core", "--segment x --parent 7 --cores aic0",
      "--segment x --parent 7 --core aic0 --attach-timeout 1",
    ])
  func otherCommandLinesAreNot(line: String) {
    #expect(SupervisedLaunch(line.split(separator: " ").map(String.init)) == nil)
  }
}
