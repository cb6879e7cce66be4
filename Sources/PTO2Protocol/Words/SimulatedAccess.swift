#if PTO2_SIMULATION
  internal import CSimulation

  /// Where the simulator takes part in an access to shared memory: it decides who
  /// performs the next one. Only in the package Verification.
  @usableFromInline
  package enum Simulation {
    package enum Update: Int32 {
      case store = 1
      case add, exchange, compareExchange, or
    }

    @usableFromInline
    package static func willLoad(_ address: UnsafeRawPointer) {
      unsafe sim_access(SIM_LOAD, address, 0)
    }

    @usableFromInline
    package static func willStore(_ address: UnsafeRawPointer, _ value: UInt32) {
      unsafe sim_access(SIM_STORE, address, UInt64(value))
    }

    @usableFromInline
    package static func didStore() { sim_done() }

    package static func load<Word: FixedWidthInteger>(_ word: UnsafeMutablePointer<Word>) -> Word {
      unsafe sim_access(SIM_LOAD, word, 0)
      return unsafe word.pointee
    }

    /// One read-modify-write, with nobody between; returns the old value.
    package static func update<Word: FixedWidthInteger>(
      _ word: UnsafeMutablePointer<Word>, _ kind: Update, _ operand: Word, _ new: (Word) -> Word
    ) -> Word {
      unsafe sim_access(kind.rawValue, word, UInt64(truncatingIfNeeded: operand))
      let old = unsafe word.pointee
      unsafe word.pointee = new(old)
      sim_done()
      return old
    }
  }
#endif
