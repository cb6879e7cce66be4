internal import Glibc

/// Starts a program, looked for in PATH unless its name has a slash; posix_spawnp(3). Nothing of
/// what a parent of this process has blocked or ignored: it may have children of its own.
/// - Parameters:
///   - command: the program and its arguments; not empty.
///   - files: for what it says on standard output and on standard error, which may be one; they
///     are emptied, and there is nothing on its standard input. Without them it has the three of
///     this process.
///   - isInOwnGroup: a terminal's Ctrl-C is not for it.
package func spawnProcess(
  _ command: [String], files: (output: String, errors: String)? = nil, isInOwnGroup: Bool = false
) throws(SystemError) -> ChildStatus {
  var actions = unsafe posix_spawn_file_actions_t()
  var attributes = posix_spawnattr_t()
  unsafe posix_spawn_file_actions_init(&actions)
  unsafe posix_spawnattr_init(&attributes)
  defer {
    unsafe posix_spawn_file_actions_destroy(&actions)
    unsafe posix_spawnattr_destroy(&attributes)
  }
  if let files {
    // Appended, so that neither overwrites the other's in one file.
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND
    unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_addopen(&actions, 1, files.output, flags, 0o600)
    unsafe posix_spawn_file_actions_addopen(&actions, 2, files.errors, flags, 0o600)
  }
  var none = sigset_t()
  var all = sigset_t()
  unsafe sigemptyset(&none)
  unsafe sigfillset(&all)
  unsafe posix_spawnattr_setsigmask(&attributes, &none)
  unsafe posix_spawnattr_setsigdefault(&attributes, &all)
  var how = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
  if isInOwnGroup {
    unsafe posix_spawnattr_setpgroup(&attributes, 0)
    how |= POSIX_SPAWN_SETPGROUP
  }
  unsafe posix_spawnattr_setflags(&attributes, Int16(how))
  var argv: [UnsafeMutablePointer<CChar>?] = unsafe command.map { unsafe strdup($0) }
  unsafe argv.append(nil)
  defer { for index in unsafe argv.indices { unsafe free(argv[index]) } }
  var pid: pid_t = 0
  let status = unsafe posix_spawnp(&pid, command[0], &actions, &attributes, argv, environ)
  guard status == 0 else { throw SystemError("posix_spawn", command[0], errno: status) }
  return ChildStatus(of: pid)
}
