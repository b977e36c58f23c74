import LuciqClient

/// Answers each message, until the task is cancelled.
func echo(url: String, application: String, key: String) async throws {
    let chat = try ChatClient(url: url, application: application, chat: 1, credentials: .key(key))
    var answered: Int64?
    for try await state in chat.states() {
        // What was there before is not answered.
        let last = answered ?? state.head
        for message in state.messages where message.number > last && message.sender != "echo" {
            try await chat.send("You said: \(message.body)", sender: "echo")
        }
        answered = state.head
    }
}
