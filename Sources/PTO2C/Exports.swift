public import CPTO2
internal import PTO2
internal import PTO2Protocol

// The calls of pto2_session.h.

@_cdecl("pto2_session_open")
public func open(
  _ options: UnsafePointer<pto2_session_options>?,
  _ session: UnsafeMutablePointer<OpaquePointer?>?,
  _ info: UnsafeMutablePointer<pto2_error_info>?
) -> pto2_error {
  unsafe session?.pointee = nil
  do throws(PTO2Error) {
    guard let session = unsafe session else {
      throw PTO2Error(.invalidArgs, "there is no place for the session: NULL")
    }
    unsafe session.pointee = try CSession(options).retained()
    return PTO2_ERROR_NONE
  } catch {
    if let info = unsafe info { _ = unsafe store(error, to: info) }
    return pto2_error(error.number)
  }
}

@_cdecl("pto2_session_run")
public func run(
  _ session: OpaquePointer?, _ build: pto2_run_function?, _ context: UnsafeMutableRawPointer?,
  _ report: UnsafeMutablePointer<pto2_report>?
) -> pto2_error {
  guard let session = unsafe session else { return PTO2_ERROR_INVALID_ARGS }
  return unsafe CSession.of(session).run(build, context, report)
}

@_cdecl("pto2_session_error")
public func error(_ session: OpaquePointer?, _ info: UnsafeMutablePointer<pto2_error_info>?)
  -> pto2_error
{
  guard let session = unsafe session else { return PTO2_ERROR_INVALID_ARGS }
  return unsafe store(CSession.of(session).error, to: info)
}

@_cdecl("pto2_session_on_wait")
public func onWait(
  _ session: OpaquePointer?, _ ask: pto2_wait_function?, _ context: UnsafeMutableRawPointer?
) -> pto2_error {
  guard let session = unsafe session else { return PTO2_ERROR_INVALID_ARGS }
  unsafe CSession.of(session).onWait(ask, context)
  return PTO2_ERROR_NONE
}

@_cdecl("pto2_session_close")
public func close(_ session: OpaquePointer?) {
  guard let session = unsafe session else { return }
  unsafe CSession.of(session).close()
  unsafe CSession.release(session)
}

private func store(_ error: PTO2Error?, to info: UnsafeMutablePointer<pto2_error_info>?)
  -> pto2_error
{
  do throws(PTO2Error) {
    unsafe try CRecord.store(
      pto2_error_info(error), to: info, least: CRecord.errorInfoBytes, "pto2_error_info")
    return PTO2_ERROR_NONE
  } catch { return pto2_error(error.number) }
}
