import Synchronization

/// What an answer says to pages of the origins that its application has set (the fetch standard, 3.3).
enum CrossOrigin: UInt8, AtomicRepresentable {
    /// Nothing: the application has set none.
    case none
    /// The request's origin, if any, is none of them. Another one may be.
    case varies
    /// The page that asks may read it.
    case allowed
}
