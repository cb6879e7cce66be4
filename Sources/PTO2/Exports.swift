// What a program gets from `import PTO2`: the graph, its errors, and the
// command line every program has.
@_exported public import ArgumentParser
@_exported public import PTO2Orchestrator
@_exported public import PTO2Protocol
