/// Why a call to a server failed.
public struct CallFailure: Error, Equatable, Sendable {
    /// What a retry can expect.
    public enum Outlook: Equatable, Sendable {
        /// It may succeed. `asked` is the pause that the server has asked for.
        case passing(asked: Duration? = nil)
        /// It fails again: what it asks for is refused.
        case refused
        /// It fails again.
        case final
    }

    /// One sentence, for people. It may have words of the server in it.
    public let sentence: String
    /// Whether the same call may succeed later.
    public let outlook: Outlook
    /// Whether the request may have taken effect nevertheless.
    public let mayHaveHappened: Bool
    /// The status of the server's answer; nil if none came.
    public let status: Int?
    /// The server's own code for it, such as `not_found`, which stays the same when the words change.
    public let code: String?

    package init(
        sentence: String, outlook: Outlook, mayHaveHappened: Bool = false, status: Int? = nil, code: String? = nil
    ) {
        self.sentence = sentence
        self.outlook = outlook
        self.mayHaveHappened = mayHaveHappened
        self.status = status
        self.code = code
    }

    /// Whether another attempt is worth it.
    public var isPassing: Bool { if case .passing = outlook { true } else { false } }

    /// Whether the chat has never been where a cursor is, as after the restore of an older backup. Load it anew.
    public var isOfOtherEpoch: Bool { code == "cursor_epoch" }

    static let tooLong = CallFailure(
        sentence: "The server's answer is too long.", outlook: .final, mayHaveHappened: true)
    static let cancelled = CallFailure(sentence: "The call was cancelled.", outlook: .final, mayHaveHappened: true)
}
