import ChatCore
import MySQLClient

@testable import ChatCluster

extension MySQLStore {
    static func dropBlock(
        covering number: Int64, of chat: Chat.ID, _ connection: isolated MySQLConnection
    ) throws {
        try dropBlocks(covering: [MessageLookups.Key(chat: chat, number: Message.Number(number))], connection)
    }
}
