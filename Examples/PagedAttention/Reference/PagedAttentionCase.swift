/// One paged-attention workload: decode attention of `batch` sequences, one
/// query token each, over a key and a value cache kept in blocks.
public struct PagedAttentionCase: Sendable, Hashable {
  /// What `named(_:)` finds it by.
  public let name: String
  /// Sequences.
  public let batch: Int
  /// Query heads of each sequence.
  public let heads: Int
  /// Key and value heads; `heads` is a multiple of it. Query head `h` attends
  /// to key and value head `h / (heads / kvHeads)`.
  public let kvHeads: Int
  /// Elements of one head.
  public let headDim: Int
  /// Tokens in a cache block.
  public let blockSize: Int
  /// Tokens of each sequence, `batch` of them, each at least 1.
  public let contextLengths: [Int]
  /// What the products of query and key are multiplied by before the softmax.
  public let scale: Float
  /// Where the generated inputs start from.
  public let seed: UInt64

  /// - Precondition: every count is positive, `heads` is a multiple of
  ///   `kvHeads`, and there is one context length per sequence.
  public init(
    name: String, batch: Int, heads: Int, kvHeads: Int = 1, headDim: Int, blockSize: Int,
    contextLengths: [Int], scale: Float = 1.0, seed: UInt64 = 1
  ) {
    precondition(batch > 0 && heads > 0 && kvHeads > 0 && headDim > 0 && blockSize > 0)
    precondition(heads.isMultiple(of: kvHeads), "heads must be a multiple of kvHeads")
    precondition(contextLengths.count == batch, "one context length per sequence")
    precondition(contextLengths.allSatisfy { $0 > 0 }, "context lengths are positive")
    self.name = name
    self.batch = batch
    self.heads = heads
    self.kvHeads = kvHeads
    self.headDim = headDim
    self.blockSize = blockSize
    self.contextLengths = contextLengths
    self.scale = scale
    self.seed = seed
  }

  /// Query heads that share one key and value head.
  public var groupHeads: Int { heads / kvHeads }

  /// Cache blocks of sequence `b`.
  public func blockCount(ofSequence b: Int) -> Int {
    (contextLengths[b] + blockSize - 1) / blockSize
  }

  /// Row length of the block table: the blocks of the longest sequence.
  public var maxBlocks: Int {
    contextLengths.reduce(0) { max($0, ($1 + blockSize - 1) / blockSize) }
  }

  /// Blocks of each cache: exactly those the sequences use.
  public var totalBlocks: Int {
    contextLengths.reduce(0) { $0 + ($1 + blockSize - 1) / blockSize }
  }

  /// Elements of the query `[batch, heads, headDim]`, and of the output.
  public var queryCount: Int { batch * heads * headDim }

  /// Elements of one cache `[totalBlocks, blockSize, kvHeads, headDim]`.
  public var cacheCount: Int { totalBlocks * blockSize * kvHeads * headDim }

  /// Elements of the block table `[batch, maxBlocks]`.
  public var blockTableCount: Int { batch * maxBlocks }

  /// Bytes of the query, both caches and the block table.
  public var inputBytes: Int { 2 * (queryCount + 2 * cacheCount) + 4 * blockTableCount }

  /// Floating-point operations of the two matrix products over the valid
  /// tokens, a multiply-add counting as two.
  public var operations: Int {
    contextLengths.reduce(0) { $0 + 4 * heads * headDim * $1 }
  }
}

extension PagedAttentionCase {
  /// Every named case, smallest first.
  public static let all: [PagedAttentionCase] = [
    small("small-31", [31]),
    small("small-33", [33]),
    small("small-128", [128]),
    small("small-b2", [33, 17]),
    small("small-b4", [33, 64, 128, 15]),
    PagedAttentionCase(
      name: "medium", batch: 2, heads: 16, headDim: 128, blockSize: 128,
      contextLengths: [1024, 1300]),
    uniform("ring", batch: 32, heads: 16, headDim: 128, blockSize: 128, context: 4096),
    PagedAttentionCase(
      name: "demo", batch: 128, heads: 64, headDim: 128, blockSize: 64,
      contextLengths: (0..<128).map { [8192, 8150, 8257, 8129, 8320, 8001, 8255, 8193][$0 % 8] }),
    uniform("case2", batch: 64, heads: 64, headDim: 128, blockSize: 64, context: 8192),
    uniform("case3", batch: 64, heads: 64, headDim: 256, blockSize: 64, context: 8192),
    uniform("case1", batch: 256, heads: 16, headDim: 128, blockSize: 128, context: 8192),
  ]

  /// The case of `all` with this name.
  public static func named(_ name: String) -> PagedAttentionCase? {
    all.first { $0.name == name }
  }

  private static func small(_ name: String, _ contexts: [Int]) -> PagedAttentionCase {
    PagedAttentionCase(
      name: name, batch: contexts.count, heads: 16, headDim: 16, blockSize: 16,
      contextLengths: contexts)
  }

  private static func uniform(
    _ name: String, batch: Int, heads: Int, headDim: Int, blockSize: Int, context: Int
  ) -> PagedAttentionCase {
    PagedAttentionCase(
      name: name, batch: batch, heads: heads, headDim: headDim, blockSize: blockSize,
      contextLengths: Array(repeating: context, count: batch))
  }
}
