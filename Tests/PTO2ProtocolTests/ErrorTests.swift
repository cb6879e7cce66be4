import CPTO2Segment
import Glibc
import PTO2Protocol
import PTO2System
import Testing

/// 8-byte aligned zeros in the place of a record.
private func withBlock(_ bytes: Int, _ body: (UnsafeMutableRawPointer) -> Void) {
  let block = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
  block.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
  body(block)
  block.deallocate()
}

@Suite struct ErrorCodeTests {
  @Test func exitStatusesAreDistinctAndFitAShell() {
    let statuses = PTO2ErrorCode.allCases.map(\.exitStatus)
    #expect(Set(statuses).count == statuses.count)
    // 1 and 2 are the program's own failure and a usage error; 126 and more the shell's.
    #expect(statuses.allSatisfy { (3...125).contains($0) })
  }

  @Test func codesAreTheOriginalsAndThoseOfTheABI() {
    let codes: [(PTO2ErrorCode, Int32)] = [
      (.scopeDeadlock, 1), (.heapRingDeadlock, 2), (.flowControlDeadlock, 3),
      (.depPoolOverflow, 4), (.invalidArgs, 5), (.requireSyncStartInvalid, 7),
      (.tensorWaitTimeout, 8), (.explicitOrchFatal, 9), (.tensorMapOverflow, 11),
      (.schedulerTimeout, 100), (.encodingOverflow, 101), (.workerDied, 200),
      (.schedulerDied, 201), (.orchestratorDied, 202), (.workerMissing, 203),
      (.schedulerMissing, 204), (.imageRefused, 205), (.garbageWord, 206),
      (.protocolViolation, 207), (.outOfMemory, 208), (.interrupted, 209),
      (.segmentTruncated, 210), (.rankDied, 211), (.diverged, 212), (.linkDied, 213),
      (.peerSilent, 214),
    ]
    #expect(codes.count == PTO2ErrorCode.allCases.count)
    for (code, number) in codes { #expect(code.rawValue == UInt32(number)) }
    #expect(PTO2_ERROR_ENCODING_OVERFLOW.rawValue == 101 && PTO2_ERROR_INTERRUPTED.rawValue == 209)
  }

  @Test func namesAreDistinctAndStandInTheDescription() {
    let names = PTO2ErrorCode.allCases.map(\.name)
    #expect(Set(names).count == names.count)
    let error = PTO2Error(.encodingOverflow, "too far")
    #expect("\(error)" == "error 101 ENCODING_OVERFLOW: too far")
  }
}

@Suite struct ProgramCodeTests {
  @Test func codesAreThoseOfTheABI() {
    #expect(PTO2Error.programCodes.lowerBound == PTO2_ERROR_PROGRAM.rawValue)
    #expect(PTO2Error.programCodes.upperBound == PTO2_ERROR_PROGRAM_LAST.rawValue)
    for code in [0, 9, 200, 999, 1040, UInt32.max] {
      #expect(PTO2Error(programCode: code, "") == nil)
    }
  }

  @Test func exitStatusesAreTheirOwn() throws {
    let errors = try PTO2Error.programCodes.map { try #require(PTO2Error(programCode: $0, "")) }
    let statuses = errors.map(\.exitStatus)
    #expect(statuses == Array(80...119))
    #expect(Set(statuses).isDisjoint(with: PTO2ErrorCode.allCases.map(\.exitStatus)))
    #expect("\(PTO2Error(programCode: 1007, "too late")!)" == "error 1007 PROGRAM: too late")
    #expect(errors[0].code == .explicitOrchFatal)
  }

  @Test func codeRoundTripsThroughAnErrorBlock() {
    for code in PTO2Error.programCodes {
      withBlock(1024) { block in
        OwnedErrorBlock(at: block).write(PTO2Error(programCode: code, "mine")!)
        let read = ErrorBlock(at: block).read()?.error
        #expect(read?.programCode == code && read?.code == .explicitOrchFatal)
        #expect(read?.message == "mine" && read?.task == nil && read?.ring == nil)
      }
    }
  }
}

@Suite struct ErrorBlockTests {
  @Test func emptyBlockIsNoError() {
    withBlock(1024) { #expect(ErrorBlock(at: $0).read() == nil) }
  }

  @Test func errorRoundTrips() {
    for code in PTO2ErrorCode.allCases {
      withBlock(1024) { block in
        let error = PTO2Error(
          code, "what \"happened\" – and the remedy", task: TaskID(ring: 3, local: 0xFFFF_FFFF),
          ring: 3, needed: 1 << 40, available: 7)
        OwnedErrorBlock(at: block).write(error, core: 5)
        let read = ErrorBlock(at: block).read()
        #expect(read?.error.code == code)
        #expect(read?.error.message == error.message)
        #expect(read?.error.task == error.task)
        #expect(read?.error.ring == 3)
        #expect(read?.error.needed == 1 << 40)
        #expect(read?.error.available == 7)
        #expect((read?.timeNanoseconds ?? 0) > 0)
        #expect(OwnedErrorBlock(at: block).whole.core == 5)
      }
    }
  }

  @Test func absentTaskAndRingStayAbsent() {
    withBlock(1024) { block in
      OwnedErrorBlock(at: block).write(PTO2Error(.interrupted, "SIGINT"))
      let read = ErrorBlock(at: block).read()
      #expect(read?.error.task == nil && read?.error.ring == nil)
      #expect(OwnedErrorBlock(at: block).whole.core == UInt32.max)
    }
  }

  @Test func longMessageIsCutWithinTheBlock() {
    // A guard area behind the block must stay as it is.
    withBlock(1024 + 64) { block in
      (block + 1024).initializeMemory(as: UInt8.self, repeating: 0xA5, count: 64)
      OwnedErrorBlock(at: block).write(PTO2Error(.invalidArgs, String(repeating: "x", count: 5000)))
      #expect(ErrorBlock(at: block).read()?.error.message == String(repeating: "x", count: 960))
      let guardArea = UnsafeRawBufferPointer(start: block + 1024, count: 64)
      #expect(guardArea.allSatisfy { $0 == 0xA5 })
    }
  }

  @Test func messageIsCutBetweenCharacters() {
    withBlock(1024) { block in
      let text = String(repeating: "a", count: 959) + "€uro"
      OwnedErrorBlock(at: block).write(PTO2Error(.invalidArgs, text))
      #expect(ErrorBlock(at: block).read()?.error.message == String(repeating: "a", count: 959))
    }
  }

  @Test func garbageIsReportedAsAProtocolViolation() {
    withBlock(1024) { block in
      block.storeBytes(of: 0xDEAD_BEEF, as: UInt32.self)
      #expect(ErrorBlock(at: block).read()?.error.code == .protocolViolation)
    }
  }

  @Test func garbageOfAnyKindIsReadSafely() {
    var random = SplitMix64(seed: 9)
    for code in PTO2ErrorCode.allCases {
      withBlock(1024) { block in
        var record = pto2_error_block()
        withElements(&record, of: UInt8.self) { bytes in
          for index in bytes.indices { bytes[index] = UInt8.random(in: 0...255, using: &random) }
        }
        record.code = code.rawValue
        record.message_length = UInt32.max - 1
        OwnedErrorBlock(at: block).whole = record
        let read = ErrorBlock(at: block).read()
        #expect(read?.error.code == code)
        #expect((read?.error.message.unicodeScalars.count ?? 961) <= 960)
      }
    }
  }
}

@Suite struct ProcessRecordTests {
  @Test func processAnnouncesItselfAndCountsIncarnations() {
    withBlock(32) { block in
      #expect(ProcessRecord(at: block).read() == nil)
      #expect(OwnedProcessRecord(at: block).announce(isSupervised: true) == 1)
      let first = ProcessRecord(at: block).read()
      #expect(first?.identity == .current())
      #expect(first?.identity.pid == getpid())
      #expect((first?.identity.startTime ?? 0) > 0)
      #expect(first?.incarnation == 1 && first?.isSupervised == true)
      #expect(OwnedProcessRecord(at: block).announce(isSupervised: false) == 2)
      let second = ProcessRecord(at: block).read()
      #expect(second?.incarnation == 2 && second?.isSupervised == false)
    }
  }
}
