package import PTO2System

extension Trace {
  /// One page of HTML that needs nothing but itself.
  package func writeReport(to file: OutputFile) {
    let data = ReportData(self)
    let policy =
      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    var head = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    head += "<meta http-equiv=\"Content-Security-Policy\" content=\"\(policy)\">\n"
    head += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    head += "<meta name=\"color-scheme\" content=\"light dark\">\n"
    head += "<title>pto2 report</title>\n<style>\n\(reportStyle)</style>\n</head>\n"
    file.write(Array(head.utf8))
    file.write(Array(reportBody.utf8))
    file.write(Array("<script type=\"application/json\" id=\"meta\">".utf8))
    file.write(Array(data.json.utf8))
    file.write(Array("</script>\n<script type=\"text/plain\" id=\"runs\">".utf8))
    file.write(base64(data.bytes))
    file.write(Array("</script>\n<script>\n".utf8))
    file.write(Array((reportScript + reportDrawing).utf8))
    file.write(Array("</script>\n</body>\n</html>\n".utf8))
  }
}

private func base64(_ bytes: [UInt8]) -> [UInt8] {
  let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  var out: [UInt8] = []
  out.reserveCapacity((bytes.count + 2) / 3 * 4)
  for place in stride(from: 0, to: bytes.count, by: 3) {
    let rest = bytes.count - place
    let word =
      UInt32(bytes[place]) << 16 | (rest > 1 ? UInt32(bytes[place + 1]) << 8 : 0)
      | (rest > 2 ? UInt32(bytes[place + 2]) : 0)
    out.append(letters[Int(word >> 18)])
    out.append(letters[Int(word >> 12 & 63)])
    out.append(rest > 1 ? letters[Int(word >> 6 & 63)] : UInt8(ascii: "="))
    out.append(rest > 2 ? letters[Int(word & 63)] : UInt8(ascii: "="))
  }
  return out
}
