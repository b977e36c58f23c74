/// A pin as JSON. Never rename or drop a member, nor change its type.
package struct PinJSON: JSONWritable {
    private let pin: Pin

    package init(pin: Pin) { self.pin = pin }

    package func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("number", pin.number.rawValue)
            pin.writeOrigin(to: &json)
        }
    }
}

extension Pin {
    /// Writes who made it, and when.
    func writeOrigin(to json: inout JSONWriter) {
        json.member("pinned_by", user?.text)
        json.member("pinned_at", at)
    }
}
