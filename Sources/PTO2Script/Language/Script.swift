package import PTO2Faults
package import PTO2Orchestrator
package import PTO2Protocol

/// A script: a graph, the session it runs in, what is done to it, and what must hold.
/// docs/scripts.md describes the file.
package struct Script: Sendable {
  package var description = ""
  /// Seconds that it may take.
  package var timeout = 30.0
  package var images: [String] = []
  /// Options of an orchestrator, with their dashes.
  package var options: [String] = []
  package var tensors: [TensorDeclaration] = []
  /// What built-in kernel a kernel of an image does the same as.
  package var models: [String: BuiltIn] = [:]
  package var graph: [Step] = []
  package var faults: JSONNode?
  package var actions: [Action] = []
  package var expectations = Expectations()
  package var expectPlace = TextPlace()

  /// The most bytes a file may have.
  package static let maximumBytes = 1_000_000
  package static let longestTimeout = 600.0
}

/// A tensor that the program owns.
package struct TensorDeclaration: Sendable {
  package var name: String
  package var type: DataType
  package var shape: [Int]
  package var values: Values
  package var place: TextPlace
}

/// The elements of a tensor, in row-major order.
package enum Values: Sendable {
  case constant(Number)
  /// The first, and how much more each next one is.
  case range(Number, Number)
  case list([Number])
  /// Whole numbers at random: nil: of the run's seed.
  case random(seed: Int?, from: Int, through: Int)

  package static let zero = Values.constant(.whole(0))
}

package struct Step: Sendable {
  package indirect enum Kind: Sendable {
    case task(TaskStep)
    case scope(ScopeMode, name: Template?, [Step])
    case loop(variable: String?, from: Expression, below: Expression, step: Expression, [Step])
    case wait
    case get(Reference, seconds: Double)
    case set(Reference, Expression, seconds: Double)
    case free(Template)
    case pause(Double)
    case fail(Template)
    case print(Template)
  }

  package var kind: Kind
  package var condition: Expression?
  package var place: TextPlace
}

/// How a task uses a tensor.
package enum Access: String, Sendable, CaseIterable {
  case input = "in"
  case output = "out"
  case change = "inout"
  case overwrite = "overwrite"
  case unordered = "unordered"
  case kept = "keep"

  package var isWritten: Bool { self != .input }
  /// The task puts a new tensor out.
  package var isNew: Bool { self == .output || self == .kept }
}

package struct TaskStep: Sendable {
  package struct Argument: Sendable {
    package var access: Access
    /// Of a new tensor its name.
    package var reference: Reference
    package var type: DataType?
    package var shape: [Expression]?
    package var place: TextPlace
  }

  package struct Predicate: Sendable {
    package var reference: Reference
    package var comparison: Comparison
    package var value: Expression
    package var place: TextPlace
  }

  package struct Kernel: Sendable {
    package var slot: SubtaskSlot
    package var name: String
    package var place: TextPlace
  }

  package var kernels: [Kernel] = []
  package var name: Template?
  package var arguments: [Argument] = []
  package var scalars: [(value: Expression, place: TextPlace)] = []
  package var blocks: Expression?
  /// A cluster.
  package var near: Expression?
  package var startsTogether = false
  package var predicate: Predicate?
  package var after: [Template] = []
  package var retain: [Template] = []
  package var recovery = Recovery.automatic
}

/// What is done to the processes while the graph runs.
package struct Action: Sendable {
  package enum Process: Sendable, Equatable, CustomStringConvertible {
    case orchestrator, scheduler
    case worker(String)

    package var description: String {
      switch self {
      case .orchestrator: "orchestrator"
      case .scheduler: "scheduler"
      case .worker(let core): "worker \(core)"
      }
    }
  }

  package enum When: Sendable {
    case now
    /// The action before it was done.
    case previous
    case seconds(Double)
    case submitted(Int)
    case released(Int)
    case consumed(Int)
    /// A core runs a kernel with one of these names.
    case running([String])
    /// The program waits for the session.
    case waiting
    /// Somebody has attached.
    case attached(Process)
    /// Standard error has it.
    case says(String)
  }

  package enum What: Sendable {
    case signal(Int32, name: String, Process)
    /// Starts a process by hand; nil: its status does not matter.
    case start(Process, cores: [String], status: Int?)
    /// `pto2 stuck` must say this.
    case stuck(String)
    /// Its time must come.
    case nothing
  }

  package var when: When
  package var what: What
  package var place: TextPlace
  /// Among all of the script.
  package var number = 0

  /// Nothing is done.
  package var isCheck: Bool { if case .nothing = what { true } else { false } }
}
