internal import CPTO2Link
internal import Glibc
internal import PTO2System

/// The other ranks through the shared object that speaks MPI.
@safe package struct MPITransport: LinkTransport {
  private let table: UnsafePointer<pto2_link_table>
  package private(set) var rank = 0
  package private(set) var ranks = 1
  package private(set) var tagLimit = 0
  package private(set) var hostName = ""
  /// The library's own name for itself.
  package private(set) var version = ""

  package static let fileName = "libpto2-link-mpi.so"
  package static let variable = "PTO2_LINK"

  /// Loads the shared object, which loads MPI.
  /// - Throws: where it was looked for, or what is wrong with it.
  package init() throws(LinkFault) {
    let path = try Self.find()
    let image: LoadedImage
    do throws(LoadedImage.Failure) { image = try LoadedImage(path: path, isGlobal: true) } catch {
      switch error {
      case .cannotLoad(let why): throw LinkFault("cannot load \(path): \(why)")
      }
    }
    guard let function = unsafe image.symbol(PTO2_LINK_TABLE_SYMBOL),
      let table = unsafe pto2_call_link_table(function),
      unsafe table.pointee.version == PTO2_LINK_TABLE_VERSION
    else {
      throw LinkFault("\(path) is not of this version of pto2: build it with `make link`")
    }
    unsafe self.table = table
  }

  private static func find() throws(LinkFault) -> String {
    if let path = environment(variable) {
      guard isAccessible(path) else {
        throw LinkFault("\(variable)=\(path): no such file that can be read")
      }
      return path.contains("/") ? path : "./" + path
    }
    let folder = executableDirectory()
    let places = ["", "../lib/", "../lib/pto2/"].map { folder + $0 + fileName }
    guard let path = places.first(where: { isAccessible($0) }) else {
      throw LinkFault(
        "no \(fileName), which speaks MPI: looked for \(places.joined(separator: ", ")). Build it with `make link`, or name it in \(variable)"
      )
    }
    return path
  }

  /// Joins the other ranks: returns when all are there.
  package mutating func join() throws(LinkFault) {
    let status = unsafe table.pointee.`init`()
    guard status >= 0 else { throw fault(status) }
    rank = try number(unsafe table.pointee.rank())
    ranks = try number(unsafe table.pointee.size())
    tagLimit = Int(unsafe table.pointee.tag_limit())
    unsafe hostName = text { unsafe table.pointee.host_name($0, $1) }
    unsafe version = text { unsafe table.pointee.library_version($0, $1) }
  }

  /// Leaves them: returns when all do.
  package mutating func leave() throws(LinkFault) {
    let status = unsafe table.pointee.finalize()
    guard status >= 0 else { throw fault(status) }
  }

  /// Ends all ranks. MPI has mpirun do it and waits for its answer, which never comes from one
  /// that is ending itself: two seconds later this process has ended all the same.
  package func abort(_ status: Int32) -> Never {
    let watch = try? spawnThread("end of the link", stackBytes: 256 << 10) {
      sleepNanoseconds(2_000_000_000)
      exitNow(status)
    }
    watch?.detach()
    unsafe table.pointee.abort(status)
    exitNow(status)
  }

  // MARK: Messages

  package mutating func send(
    _ data: UnsafeRawBufferPointer, to peer: Int, tag: Int, isSynchronous: Bool
  ) throws(LinkFault) -> LinkRequest {
    var request: pto2_link_request = 0
    let status = unsafe table.pointee.send(
      data.baseAddress, UInt64(data.count), Int32(peer), Int32(tag), isSynchronous ? 1 : 0,
      &request)
    guard status >= 0 else { throw fault(status) }
    return LinkRequest(request)
  }

  package mutating func probe() throws(LinkFault) -> LinkMessage? {
    var message = pto2_link_message()
    let status = unsafe table.pointee.probe(&message)
    guard status >= 0 else { throw fault(status) }
    if status == 0 { return nil }
    return LinkMessage(
      source: Int(message.source), tag: Int(message.tag), bytes: message.bytes,
      handle: message.handle)
  }

  package mutating func receive(_ message: LinkMessage, into place: UnsafeMutableRawBufferPointer)
    throws(LinkFault) -> LinkRequest
  {
    var request: pto2_link_request = 0
    var record = pto2_link_message(
      source: Int32(message.source), tag: Int32(message.tag), bytes: message.bytes,
      handle: message.handle)
    let status = unsafe table.pointee.receive(place.baseAddress, &record, &request)
    guard status >= 0 else { throw fault(status) }
    return LinkRequest(request)
  }

  package mutating func test(_ requests: ArraySlice<LinkRequest>, done: inout [Int])
    throws(LinkFault)
  {
    let most = LinkRequest.testedAtOnce
    var (status, index): (Int32, UInt32) = (0, .max)
    unsafe withUnsafeTemporaryAllocation(of: pto2_link_request.self, capacity: most) { numbers in
      unsafe withUnsafeTemporaryAllocation(of: UInt32.self, capacity: most) { indices in
        var count = 0
        for request in requests.prefix(most) {
          unsafe numbers[count] = request.number
          count += 1
        }
        unsafe indices[0] = .max
        unsafe status = table.pointee.test_some(
          numbers.baseAddress!, UInt32(count), indices.baseAddress!)
        if status < 0 { unsafe index = indices[0] }
        for place in 0..<Int(max(0, status)) { unsafe done.append(Int(indices[place])) }
      }
    }
    guard status >= 0 else { throw fault(status, index: index == .max ? nil : Int(index)) }
  }

  // MARK: Texts

  private func number(_ result: Int32) throws(LinkFault) -> Int {
    guard result >= 0 else { throw fault(result) }
    return Int(result)
  }

  private func fault(_ status: Int32, index: Int? = nil) -> LinkFault {
    LinkFault(
      unsafe text { unsafe table.pointee.error_text(status, $0, $1) }, index: index)
  }

  private func text(_ fill: (UnsafeMutablePointer<CChar>, Int) -> Void) -> String {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { bytes in
      unsafe bytes.initialize(repeating: 0)
      unsafe fill(bytes.baseAddress!, bytes.count)
      return unsafe String(cString: bytes.baseAddress!)
    }
  }
}
