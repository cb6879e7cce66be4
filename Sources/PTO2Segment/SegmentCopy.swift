#if !PTO2_SIMULATION
  internal import CPTO2Segment
  package import PTO2Protocol
  package import PTO2System

  /// What tools know of a segment: copies of its parts, in memory of their own.
  ///
  /// A part is read with pread(2), so nothing that happens to the segment hurts who looks: not
  /// its end, not its being made smaller. Nothing in it is touched either: no lock is taken,
  /// nothing is mapped, and a hole stays a hole. What was not copied, and what is missing, is
  /// zero in the views.
  @safe package final class SegmentCopy: SegmentViews {
    package let configuration: Configuration
    package let layout: SegmentLayout
    package let creator: ProcessIdentity
    /// Of the machine's life in which it was made.
    package let bootID: [UInt8]
    private let object: SharedMemoryObject
    private let memory: PrivateMemory
    /// The segment's size as its file has it by now, where that is too small.
    package private(set) var cutAt: UInt64?

    private init(
      _ object: consuming SharedMemoryObject, _ memory: consuming PrivateMemory,
      _ header: pto2_header, _ configuration: Configuration, _ layout: SegmentLayout
    ) {
      self.object = object
      self.memory = memory
      self.configuration = configuration
      self.layout = layout
      creator = ProcessIdentity(creatorOf: header)
      var header = header
      bootID = unsafe withUnsafeBytes(of: &header.boot_id) { unsafe Array($0) }
      for kind in [SectionKind.header, .images, .kernels] { copySection(kind) }
    }

    /// - Parameter place: a name in /dev/shm, or, with a slash, the path of a file.
    /// - Throws: as `Segment.attach` for what is no whole segment of this build.
    package static func open(_ place: String) throws(SegmentError) -> SegmentCopy {
      let path = place.contains("/") ? place : "/dev/shm" + (try Segment.objectName(place))
      let object: SharedMemoryObject
      do { object = try SharedMemoryObject.openForReading(path: path) } catch {
        switch error.errno {
        case SystemError.notFound: throw .notFound(name: place, waitedMilliseconds: 0)
        case SystemError.accessDenied: throw .accessDenied(name: place)
        case SystemError.notAFile: throw .notOurs(name: place, what: "no file")
        default: throw .system(error)
        }
      }
      guard let header = Segment.peekHeader(object) else {
        throw .truncated(
          expectedBytes: UInt64(MemoryLayout<pto2_header>.size),
          foundBytes: (try? object.size()) ?? 0)
      }
      if header.magic == 0, CreationMark.isIn(object) { throw .creatorDied(name: place) }
      if header.magic != PTO2_MAGIC { throw .notASegment(name: place, magic: header.magic) }
      // A file that is cut off is looked at all the same: what is missing is said.
      let (configuration, layout) = try Segment.check(header, size: header.total_bytes)
      do throws(SystemError) {
        let memory = try PrivateMemory(
          bytes: layout.totalBytes, writableBytes: layout.section(.heap).offset)
        return SegmentCopy(object, memory, header, configuration, layout)
      } catch { throw .system(error) }
    }

    package var base: UnsafeRawPointer { unsafe memory.base }

    // MARK: Copying

    private func copy(offset: UInt64, bytes: UInt64) {
      guard let place = unsafe memory.place(offset: offset, bytes: bytes) else { return }
      let count = unsafe object.readSome(into: place, at: offset)
      if count < place.count {
        unsafe UnsafeMutableRawBufferPointer(rebasing: place[count...])
          .initializeMemory(as: UInt8.self, repeating: 0)
      }
    }

    private func copySection(_ kind: SectionKind, ring: Int = 0) {
      let section = layout.section(kind, ring: ring)
      copy(offset: section.offset, bytes: section.bytes)
    }

    /// The words of every role as they are now.
    package func copyWords() {
      let size = (try? object.size()) ?? 0
      cutAt = size < layout.totalBytes ? size : nil
      for kind in [SectionKind.orchestratorWords, .schedulerWords, .dataMainBase, .cores] {
        copySection(kind)
      }
    }

    /// The words of one core, and those that it is told.
    package func copyWords(ofCore core: Int) {
      for kind in [SectionKind.dataMainBase, .cores] {
        let stride = kind.spec.stride
        copy(offset: layout.section(kind).offset + UInt64(core) * stride, bytes: stride)
      }
    }

    /// Records of a ring, a pool or the log.
    /// - Parameters:
    ///   - first: the position of the first one.
    ///   - count: at most as many as there are.
    package func copyRecords(_ kind: SectionKind, ring: Int = 0, first: UInt32, count: UInt32) {
      let section = layout.section(kind, ring: ring)
      let stride = kind.spec.stride
      let capacity = section.usedBytes / stride
      guard capacity > 0, count > 0 else { return }
      let begin = UInt64(first) % capacity
      let whole = min(UInt64(count), capacity)
      let untilEnd = min(whole, capacity - begin)
      copy(offset: section.offset + begin * stride, bytes: untilEnd * stride)
      if whole > untilEnd { copy(offset: section.offset, bytes: (whole - untilEnd) * stride) }
    }

    /// A task's payload, whose main slot and descriptor were copied; nil when its descriptor
    /// names no place in its ring's payloads.
    package func copiedPayload(_ id: TaskID) -> Payload? {
      guard id.ring < configuration.rings.count else { return nil }
      let slot = mainRing(id.ring)[id.local]
      let header = slot.header
      let (tensors, scalars) = (Int(header.tensor_count), Int(header.scalar_count))
      guard tensors <= Int(PTO2_MAX_TENSORS), scalars <= Int(PTO2_MAX_SCALARS) else { return nil }
      let bytes = UInt64(
        PayloadShape(tensors: tensors, scalars: scalars)
          .bytes(hasPredicate: slot.flags.contains(.predicate)))
      let offset = descriptors(id.ring)[id.local].payload
      let section = layout.section(.payload, ring: id.ring)
      guard bytes <= section.bytes, offset >= section.offset,
        offset <= section.offset + section.bytes - bytes
      else { return nil }
      copy(offset: offset, bytes: bytes)
      return payload(id)
    }

    /// An element of a tensor, as raw bits; nil when it is none of the heap's or the arena's.
    package func element(at offset: UInt64, bytes: Int) -> UInt64? {
      guard offset >= layout.section(.heap).offset, offset < layout.totalBytes,
        UInt64(bytes) <= layout.totalBytes - offset, (1...8).contains(bytes)
      else { return nil }
      var value: UInt64 = 0
      let count = unsafe withUnsafeMutableBytes(of: &value) {
        unsafe object.readSome(
          into: UnsafeMutableRawBufferPointer(rebasing: $0[..<bytes]), at: offset)
      }
      return count == bytes ? value : nil
    }

    // MARK: The trace

    /// What the trace buffers have taken and dropped so far; nil of a session without.
    package func traceUse() -> TraceUse? {
      guard configuration.isTraced else { return nil }
      var use = TraceUse()
      for source in configuration.traceSources {
        var head = pto2_trace_head()
        let offset = layout.traceOffset(source, bufferBytes: configuration.traceBytes)
        _ = unsafe withUnsafeMutableBytes(of: &head) { unsafe object.read(into: $0, at: offset) }
        use.written &+= head.written
        use.dropped &+= head.dropped
      }
      return use
    }

    // MARK: Who has it

    /// Some process takes part in the session. Of a copy of a segment nobody does.
    package var isAttached: Bool { object.isLocked(.liveness) }

    /// Bytes of memory or disk that the file takes.
    package var allocatedBytes: UInt64 { object.allocatedBytes() }
  }
#endif
