internal import CPTO2Segment
package import PTO2Protocol

extension Segment {
  /// What the link has ended the session with, if it has.
  package var linkError: PTO2Error? {
    guard configuration.hasLink, linkPage.control.loadAcquire() == PTO2_LINK_FATAL,
      var error = linkPage.error.read()?.error
    else { return nil }
    error.isEcho = linkPage.errorIsEcho.loadAcquire() != 0
    return error
  }
}
