import Cryptography
import Foundation
import Synchronization

/// Seals payloads of the bus, so that an attacker in Redis can neither read, alter or forge them, nor move them to another
/// chat. Such an attacker can replay them, which readers notice by the numbers, and hold them back.
///
/// A sealed payload starts with the version `1` and eight hexadecimal digits for the database server in use. Then
/// follow, in Base64, so that every Redis client can show it: 16 random bytes of the sender, its count of payloads in 8
/// bytes, and the ciphertext and tag of AES-256-GCM. The server and the channel's name are authenticated with it: a
/// chat's id belongs to one server, and may mean another chat on another server.
///
/// HKDF-SHA256 derives the sender's key from the deployment's key and the 16 bytes, and the count is the nonce. So no
/// nonce is used twice with a key, however many senders there are and however long they live, and a message needs
/// neither a new key nor random bytes.
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
    /// The keys of senders that have proven to know the deployment's key.
    private let keys = Mutex<[Sender: SecretKey]>([:])

    init(key: SecretKey) {
        self.key = key
        var generator = SystemRandomNumberGenerator()
        sender = (0..<Self.senderLength).map { _ in .random(in: 0...255, using: &generator) }
        ownKey = Self.key(of: sender, key)
    }

    /// - Parameter server: the server that the ids belong to (`ServerFacts.Server.data`).
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

    /// - Returns: nil unless a process of this deployment has sealed it for this channel, with this server in use, in a
    ///   known version.
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

    /// The number of cached keys.
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
