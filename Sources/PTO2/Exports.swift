// What a program gets from `import PTO2`: sessions and their configuration, graphs,
// tensors and errors.
@_exported public import PTO2Orchestrator
@_exported public import PTO2Protocol
