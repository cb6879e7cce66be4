/// What the original takes for the same graph, in microseconds a task.
///
/// hw-native-sys/simpler at 6ebaf771, a2a3sim (threads of one process that
/// spin and yield), empty kernels, 10,000 tasks, medians on 2 CPUs of a KVM
/// guest, AMD EPYC Zen 5. Nil where there is no figure.
struct OriginalFigures {
  /// Time in the program's submit calls.
  var submit: Double?
  /// From the first submit until all is done.
  var endToEnd: Double?

  static let source = "hw-native-sys/simpler at 6ebaf771, a2a3sim, 10,000 tasks, 2 CPUs (Zen 5)"

  /// 1 cluster, 1 orchestrator and 1 scheduler thread.
  static let independent = OriginalFigures(submit: 0.086, endToEnd: 1.66)
  static let chainExplicit = OriginalFigures(submit: 0.105, endToEnd: 3.40)
  static let chainTensor = OriginalFigures(submit: 0.209, endToEnd: 3.49)
  static let fanExplicit = OriginalFigures(submit: 0.39, endToEnd: 2.06)
  static let fan = OriginalFigures(submit: 1.29, endToEnd: 2.38)
  static let noKernel = OriginalFigures(submit: 0.097, endToEnd: 0.16)
  static let noKernelChain = OriginalFigures(submit: 0.105, endToEnd: 0.44)
  static let views = OriginalFigures(submit: 8.2, endToEnd: 9.9)
  /// An independent task's 0.086 and about 0.3 for a real argument list.
  static let arguments = OriginalFigures(submit: 0.39, endToEnd: nil)
  static let chainWithHogs = OriginalFigures(submit: 0.1, endToEnd: 2033)
  static let wholeRun = OriginalFigures(submit: nil, endToEnd: 3900)
  /// 8 clusters, 28 threads.
  static let independentStock = OriginalFigures(submit: nil, endToEnd: 2.00)
  static let chainStock = OriginalFigures(submit: nil, endToEnd: 21.6)
  static let fanStock = OriginalFigures(submit: nil, endToEnd: 7.2)
  /// The middle of 40 to 60 ms.
  static let wholeRunStock = OriginalFigures(submit: nil, endToEnd: 50_000)

  static let none = OriginalFigures()
}
