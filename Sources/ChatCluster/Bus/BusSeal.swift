import Cryptography
import Foundation
import Synchronization

/// Seals payloads of the bus, so that an attacker in Redis can neither read, alter or forge them, nor move them to another
/// chat. Such an attacker can replay them, which readers notice by the numbers, and hold them back.
///
/// A sealed payload is a version, `1`, then eight hexadecimal digits that stand for the database server in use, and in
/// Base64, so that every client of Redis can show it, 16 bytes that the sender has drawn at its start, its count of
/// payloads in 8, and what AES-256-GCM makes: ciphertext and tag. The server and the channel's name are authenticated
/// with it: a chat's id belongs to one server, and may mean another chat on another server.
/// The sender's key is derived from the deployment's and its 16 bytes by HKDF-SHA256, and its count is the nonce: so no
/// nonce is used twice, however many senders there are and however long they live, and nothing is derived or drawn for
/// a message.
final class BusSeal: Sendable {
    private typealias Sender = [UInt8]

    private static let version = UInt8(ascii: "1")
    private static let senderLength = 16
    private static let countLength = 8
    /// Senders whose keys are cached; past it the cache starts over.
    private static let capacity = 1024

    private let key: SecretKey
    private let sender: Sender
    private let ownKey: SecretKey
    private let count = Atomic<UInt64>(0)
    /// Of senders that have proven to have the deployment's.
    private let keys = Mutex<[Sender: SecretKey]>([:])

    init(key: SecretKey) {
        self.key = key
        var generator = SystemRandomNumberGenerator()
        sender = (0..<Self.senderLength).map { _ in .random(in: 0...255, using: &generator) }
        ownKey = Self.key(of: sender, key)
    }

    /// - Parameter server: where the ids are of (`ServerFacts.Server.data`).
    func seal(_ plain: [UInt8], for channel: String, at server: String = "") -> [UInt8] {
        let count = count.wrappingAdd(1, ordering: .relaxed).newValue
        let box = AES256GCM.seal(
            plain, key: ownKey, nonce: Self.nonce(count), authenticating: Self.place(channel, server))
        var bytes = Data(capacity: Self.prefixLength + box.count)
        bytes += sender
        withUnsafeBytes(of: count.bigEndian) { bytes.append(contentsOf: $0) }
        bytes += box
        return Self.head(server) + bytes.base64EncodedData()
    }

    /// - Returns: nil for what no process of this deployment has sealed for this channel, with this server in use, in a
    ///   version known here.
    func open(_ sealed: [UInt8], from channel: String, at server: String = "") -> [UInt8]? {
        let head = Self.head(server)
        guard sealed.starts(with: head), let bytes = Data(base64Encoded: Data(sealed.dropFirst(head.count))),
            bytes.count >= Self.prefixLength
        else { return nil }
        let sender = Sender(bytes.prefix(Self.senderLength))
        let count = bytes.dropFirst(Self.senderLength).prefix(Self.countLength).reduce(0) { $0 << 8 | UInt64($1) }
        let known = keys.withLock { $0[sender] }
        let key = known ?? Self.key(of: sender, key)
        guard
            let plain = AES256GCM.open(
                bytes.dropFirst(Self.prefixLength), key: key, nonce: Self.nonce(count),
                authenticating: Self.place(channel, server))
        else { return nil }
        if known == nil {
            keys.withLock { keys in
                if keys.count >= Self.capacity { keys = [:] }
                keys[sender] = key
            }
        }
        return plain
    }

    /// How many senders' keys are remembered.
    var rememberedSenders: Int { keys.withLock(\.count) }

    /// Whether it claims to be sealed with another server in use.
    func isElsewhere(_ sealed: [UInt8], than server: String) -> Bool {
        sealed.first == Self.version && !sealed.starts(with: Self.head(server))
    }

    private static var prefixLength: Int { senderLength + countLength }

    /// FNV-1a: it tells servers apart; only the authenticated data proves anything.
    private static func head(_ server: String) -> [UInt8] {
        let hash = server.utf8.reduce(0x811C_9DC5 as UInt32) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
        let digits = String(hash, radix: 16)
        return [version] + String(repeating: "0", count: 8 - digits.count).utf8 + digits.utf8
    }

    /// No server's name has a zero byte.
    private static func place(_ channel: String, _ server: String) -> [UInt8] {
        [version] + server.utf8 + [0] + channel.utf8
    }

    private static func nonce(_ count: UInt64) -> [UInt8] {
        [0, 0, 0, 0] + withUnsafeBytes(of: count.bigEndian, Array.init)
    }

    /// HKDF-Expand (RFC 5869, 2.3) of 32 bytes, which is one round.
    private static func key(of sender: Sender, _ key: SecretKey) -> SecretKey {
        SecretKey(SHA256.hmac(sender + [1], key: key))
    }
}
