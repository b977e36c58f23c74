extension StoreReport {
    /// What `luciq verify` finds of a thread: the numbers of its head, and those of its replies.
    package mutating func addProblem(
        ofThread thread: Int64, in chat: Int64, count: Int64, last: Int64, foundCount: Int64, foundLast: Int64
    ) {
        add(
            "Thread \(thread) of chat id \(chat): its head says \(count) replies up to \(last), but there are "
                + "\(foundCount) up to \(foundLast)")
    }

    package mutating func addLostReply(_ number: Int64, in chat: Int64) {
        add("Reply \(number) of chat id \(chat): its message is not in the thread, or the thread has no head")
    }

    package mutating func addReadAhead(_ count: Int64, in chat: Int64) {
        add("Chat id \(chat): \(count) users have read beyond its highest message")
    }
}
