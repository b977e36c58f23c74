extension StringProtocol {
    /// Whether the two have equal bytes. `==` also treats different bytes as equal (é has two spellings), unlike Redis
    /// and Ruby, and is slow for some texts that others may send.
    func isSame(_ other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }
}
