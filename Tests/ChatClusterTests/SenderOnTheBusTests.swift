import ChatCore
import Testing

@testable import ChatCluster

struct SenderOnTheBusTests {
    @Test func theBusCarriesTheSender() throws {
        let time = Timestamp(microseconds: 1_763_830_664_194_123)
        let (hi, named) = (
            Message(number: Message.Number(1), body: "hi", createdAt: time),
            Message(
                number: Message.Number(2), content: MessageContent(body: "hi", sender: User.ID("Ada")), createdAt: time)
        )
        #expect(try BusPayload.decode(BusPayload.encode([hi, named])) == [hi, named])
        // As a server of the version before writes it, and as it reads it: without a member that it does not know.
        let older = #"[{"number":1,"body":"hi","created_at":1763830664194123}]"#
        #expect(try BusPayload.decode(Array(older.utf8)) == [hi])
        #expect(BusPayload.encode([hi]) == Array(older.utf8))
    }
}
