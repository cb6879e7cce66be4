import PTO2
import PTO2System
import Testing

@testable import PTO2CommandLine

@Suite struct NumberTests {
  @Test(arguments: [
    (0.0, 0, "0"), (0.0, 3, "0.000"), (1.5, 0, "2"), (1.2345, 3, "1.235"), (0.0494, 2, "0.05"),
    (0.999, 2, "1.00"), (-1.25, 1, "-1.3"), (1234567.891, 1, "1234567.9"), (2.05, 3, "2.050"),
  ])
  func numberHasSoManyDigits(value: Double, digits: Int, text: String) {
    #expect(fixed(value, digits) == text)
  }

  @Test func numbersThatAreNoneDoNotTrap() {
    #expect(fixed(.infinity, 2) == "inf")
    #expect(fixed(.nan, 2) == "nan")
  }
}

@Suite struct JSONTests {
  @Test func textIsQuotedAsRFC8259Says() {
    #expect(JSONObject.quoted("") == "\"\"")
    #expect(JSONObject.quoted("a\"b\\c") == #""a\"b\\c""#)
    #expect(JSONObject.quoted("line\nnext\ttab") == #""line\nnext\ttab""#)
    #expect(JSONObject.quoted("\u{0}\u{1}\u{1F}\r") == #""\u0000\u0001\u001f\u000d""#)
    #expect(JSONObject.quoted("/€😀\u{7F}") == "\"/€😀\u{7F}\"")
  }

  @Test func objectKeepsTheOrderOfItsMembers() {
    var inner = JSONObject()
    inner.add("n", UInt64.max)
    var object = JSONObject()
    #expect(object.text == "{}")
    object.add("text", "a\"b")
    object.add("number", UInt64(7))
    object.add("real", 0.5)
    object.add("nothing", Double.nan)
    object.add("yes", true)
    object.add("list", [inner, inner])
    object.add("none", [JSONObject]())
    #expect(
      object.text
        == #"{"text":"a\"b","number":7,"real":0.5,"nothing":null,"yes":true,"list":[{"n":18446744073709551615},{"n":18446744073709551615}],"none":[]}"#
    )
  }

  @Test func failureNamesCodeTaskAndSizes() {
    let error = PTO2Error(
      .heapRingDeadlock, "too \"large\"", task: TaskID(rawValue: 0x1_0000_0007), ring: 1,
      needed: 100, available: 64)
    #expect(
      failureJSON(program: "p", error: error, exitStatus: 12)
        == #"{"program":"p","result":"error","code":2,"name":"HEAP_RING_DEADLOCK","message":"too \"large\"","task":"1:7","ring":1,"needed":100,"available":64,"exit_status":12}"#
        + "\n")
  }
}
