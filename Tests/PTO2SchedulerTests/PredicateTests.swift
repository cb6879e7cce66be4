import CPTO2Segment
import Testing

@testable import PTO2Scheduler

/// Predicates by their definition. Orders: -1 less, 0 equal, 1 greater, nil
/// unordered, of the element to the value.
@Suite struct PredicateTests {
  private func isTrue<Element: BitwiseCopyable>(
    _ dtype: UInt32, _ comparison: UInt32, _ element: Element, value: UInt64
  ) -> Bool {
    var record = pto2_slot_predicate()
    record.dtype = UInt8(dtype)
    record.comparison = UInt8(comparison)
    record.value = value
    return withUnsafeBytes(of: element) { Predicate(record).isTrue(at: $0.baseAddress!) }
  }

  private func check<Element: BitwiseCopyable>(
    _ dtype: UInt32, _ element: Element, value: UInt64, order: Int?,
    location: SourceLocation = #_sourceLocation
  ) {
    let expected: [(UInt32, Bool)] = [
      (PTO2_EQ.rawValue, order == 0), (PTO2_NE.rawValue, order != 0),
      (PTO2_GT.rawValue, order == 1), (PTO2_LT.rawValue, order == -1),
      (PTO2_GE.rawValue, order == 0 || order == 1), (PTO2_LE.rawValue, order == 0 || order == -1),
    ]
    for (comparison, holds) in expected {
      #expect(
        isTrue(dtype, comparison, element, value: value) == holds,
        "\(element) to \(Int64(bitPattern: value)), comparison \(comparison)",
        sourceLocation: location)
    }
  }

  private func order(_ a: Double, _ b: Double) -> Int? {
    a.isNaN || b.isNaN ? nil : a < b ? -1 : a > b ? 1 : 0
  }

  private func checkInteger<Element: FixedWidthInteger & BitwiseCopyable>(
    _ dtype: UInt32, _ type: Element.Type
  ) {
    let elements: [Element] = [.min, .min + 1, 0, 1, 42, .max / 2 + 1, .max - 1, .max]
    let values: [Int64] = [
      .min, -129, -128, -1, 0, 1, 42, 255, 256, 0x8000_0000, 0x1_0000_0000, .max - 1, .max,
    ]
    for element in elements {
      for value in values {
        // Heterogeneous comparison compares the numbers, whatever their types.
        check(
          dtype, element, value: UInt64(bitPattern: value),
          order: element < value ? -1 : element > value ? 1 : 0)
      }
    }
  }

  @Test func integersCompareAsNumbers() {
    checkInteger(PTO2_INT8.rawValue, Int8.self)
    checkInteger(PTO2_INT16.rawValue, Int16.self)
    checkInteger(PTO2_INT32.rawValue, Int32.self)
    checkInteger(PTO2_INT64.rawValue, Int64.self)
    checkInteger(PTO2_UINT8.rawValue, UInt8.self)
    checkInteger(PTO2_UINT16.rawValue, UInt16.self)
    checkInteger(PTO2_UINT32.rawValue, UInt32.self)
    checkInteger(PTO2_UINT64.rawValue, UInt64.self)
  }

  @Test func realsCompareAsDoubles() {
    let values = [-Double.infinity, -1.5, -0.0, 0, 0.1, 1, 65504, .infinity, .nan]
    let singles: [Float] = [
      -.infinity, -1.5, -0.0, 0, .leastNonzeroMagnitude, 0.1, 1, .infinity, .nan,
    ]
    for value in values {
      for single in singles {
        check(
          PTO2_FLOAT32.rawValue, single, value: value.bitPattern,
          order: order(Double(single), value))
      }
      for single in singles {
        let bits = UInt16(single.bitPattern >> 16)
        let element = Double(Float(bitPattern: UInt32(bits) << 16))
        check(PTO2_BFLOAT16.rawValue, bits, value: value.bitPattern, order: order(element, value))
      }
    }
  }

  @Test func halvesCompareAsDoubles() {
    check(PTO2_FLOAT16.rawValue, Float16(-1.5), value: Double(-1.5).bitPattern, order: 0)
    check(PTO2_FLOAT16.rawValue, Float16(65504), value: Double(65503).bitPattern, order: 1)
    check(PTO2_FLOAT16.rawValue, Float16.nan, value: Double(1).bitPattern, order: nil)
    check(PTO2_FLOAT16.rawValue, Float16(0), value: Double.nan.bitPattern, order: nil)
  }

  @Test func whatDoesNotExistIsFalse() {
    for dtype in [UInt32(PTO2_DTYPE_COUNT), 255] {
      #expect(!isTrue(dtype, PTO2_NE.rawValue, UInt64(1), value: 0))
    }
    for comparison: UInt32 in [6, 255] {
      #expect(!isTrue(PTO2_INT64.rawValue, comparison, Int64(0), value: 0))
      #expect(!isTrue(PTO2_FLOAT32.rawValue, comparison, Float(0), value: 0))
    }
  }
}
