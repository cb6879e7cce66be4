/// The explicit dependencies that a program needs where the runtime does not
/// look: at NO_DEP arguments, and in manual scopes. By the definition, element
/// by element: whoever touches what an earlier task wrote, or writes what it
/// touched, comes after it.
struct Order {
  private struct Access {
    var task: Int
    var isTracked: Bool
    var isWrite: Bool
    var elements: ElementSet
  }
  /// By tensor: what no later write covers.
  private var accesses: [[Access]] = []
  /// By tensor: the task that put it out.
  private var owners: [Int?] = []

  /// Enters a task, the next one by number.
  /// - Returns: the tasks that it must be told to come after.
  mutating func enter(_ task: TaskDescription, number: Int, isManual: Bool, tensors: Int) -> [Int] {
    while accesses.count < tensors {
      accesses.append([])
      owners.append(nil)
    }
    var needed: Set<Int> = []
    var touched: [(tensor: Int, access: Access)] = []
    func touch(_ view: View, _ elements: ArraySlice<Int>, isTracked: Bool, isWrite: Bool) {
      touched.append(
        (
          view.tensor,
          Access(
            task: number, isTracked: isTracked, isWrite: isWrite, elements: ElementSet(elements))
        ))
    }
    for argument in task.arguments {
      if argument.access == .output { owners[argument.view.tensor] = number }
      touch(
        argument.view, argument.view.elements[...], isTracked: !isManual && !argument.isUntracked,
        isWrite: !argument.isRead)
      // In a manual scope the owner is waited for, but not for NO_DEP.
      let owner = argument.isUntracked ? nil : owners[argument.view.tensor]
      for access in accesses[argument.view.tensor] where access.task != owner {
        if conflict(access, touched.last!.access) { needed.insert(access.task) }
      }
    }
    if let predicate = task.predicate {
      let place = predicate.place
      touch(
        predicate.view, predicate.view.elements[place...place], isTracked: !isManual,
        isWrite: false)
      for access in accesses[predicate.view.tensor]
      where access.task != owners[predicate.view.tensor] {
        if conflict(access, touched.last!.access) { needed.insert(access.task) }
      }
    }
    for (tensor, access) in touched {
      if access.isWrite {
        for index in accesses[tensor].indices {
          accesses[tensor][index].elements.subtract(access.elements)
        }
        accesses[tensor].removeAll { $0.elements.isEmpty }
      }
      accesses[tensor].append(access)
    }
    needed.remove(number)
    return needed.sorted()
  }

  private func conflict(_ earlier: Access, _ later: Access) -> Bool {
    (earlier.isWrite || later.isWrite) && !(earlier.isTracked && later.isTracked)
      && earlier.elements.intersects(later.elements)
  }
}

/// Elements of one tensor.
private struct ElementSet {
  private var words: [UInt64] = []

  init(_ elements: ArraySlice<Int>) {
    words = Array(repeating: 0, count: elements.max()! / 64 + 1)
    for element in elements { words[element / 64] |= 1 << UInt64(element % 64) }
  }

  var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

  func intersects(_ other: ElementSet) -> Bool {
    zip(words, other.words).contains { $0 & $1 != 0 }
  }

  mutating func subtract(_ other: ElementSet) {
    for index in 0..<min(words.count, other.words.count) { words[index] &= ~other.words[index] }
  }
}
