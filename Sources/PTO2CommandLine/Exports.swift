// A program with a command line is a `ParsableCommand`.
@_exported public import ArgumentParser
