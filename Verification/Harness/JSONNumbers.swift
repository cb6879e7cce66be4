/// The value of a number in JSON: `"key":123`.
package func number(_ key: String, in json: String) -> Double? { numbers(key, in: json).first }

/// All values of a key, in order.
package func numbers(_ key: String, in json: String) -> [Double] {
  json.ranges(of: "\"\(key)\":").compactMap {
    Double(json[$0.upperBound...].prefix { "0123456789.e+-".contains($0) })
  }
}
