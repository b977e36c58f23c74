extension Substring {
    /// Without the spaces and tabs around it.
    var trimmingBlanks: Substring {
        var utf8 = utf8
        while let first = utf8.first, first == 0x20 || first == 0x09 { utf8 = utf8.dropFirst() }
        while let last = utf8.last, last == 0x20 || last == 0x09 { utf8 = utf8.dropLast() }
        return Substring(utf8)
    }
}
