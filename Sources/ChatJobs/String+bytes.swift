extension StringProtocol {
    /// Whether the two are the same bytes. `==` takes texts of other bytes for equal (é has two spellings), which Redis
    /// and Ruby do not, and is slow for some texts that others may send.
    func isSame(_ other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }
}
