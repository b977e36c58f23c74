import Crypto
import Foundation

/// Seals what goes over the bus, so that Redis and whoever reaches it can neither read, nor alter, nor make it, nor move it
/// to another chat. What they can do is to send it again, which readers notice by its numbers, and to hold it back.
///
/// A sealed payload is a version, `1`, eight hexadecimal digits that stand for the database server in use, and in Base64 what
/// AES-GCM makes: nonce, ciphertext, tag. A chat's id is a server's own: what is said of it where another one is in use may
/// be of another chat. Each channel has a key of
/// its own, derived from the deployment's by HKDF-SHA256, so that random nonces of 96 bits are enough: a chat would need
/// 2^32 batches before two of them are the same with a probability of 2^-33.
struct BusSeal: Sendable {
    private static let version = [UInt8(ascii: "1")]

    private let key: SymmetricKey

    init(key: SymmetricKey) { self.key = key }

    /// - Parameter server: where the ids are of (`ServerFacts.Server.data`).
    func seal(_ plain: [UInt8], for channel: String, at server: String = "") -> [UInt8] {
        do {
            let head = Self.head(server)
            let box = try AES.GCM.seal(plain, using: channelKey(channel), authenticating: head)
            return head + box.combined!.base64EncodedData()
        } catch {
            // It refuses nothing but texts past 64 GB.
            preconditionFailure("AES-GCM: \(error)")
        }
    }

    /// - Returns: nil for what no process of this deployment has sealed for this channel, with this server in use, in a
    ///   version known here.
    func open(_ sealed: [UInt8], from channel: String, at server: String = "") -> [UInt8]? {
        let head = Self.head(server)
        guard sealed.starts(with: head), let combined = Data(base64Encoded: Data(sealed.dropFirst(head.count))),
            let box = try? AES.GCM.SealedBox(combined: combined),
            let plain = try? AES.GCM.open(box, using: channelKey(channel), authenticating: head)
        else { return nil }
        return Array(plain)
    }

    /// Whether it says that it was sealed with another server in use.
    func isElsewhere(_ sealed: [UInt8], than server: String) -> Bool {
        sealed.starts(with: Self.version) && !sealed.starts(with: Self.head(server))
    }

    private static func head(_ server: String) -> [UInt8] {
        let digits = SHA256.hash(data: Array(server.utf8)).prefix(4).map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return version + digits.joined().utf8
    }

    private func channelKey(_ channel: String) -> SymmetricKey {
        HKDF<SHA256>.expand(pseudoRandomKey: key, info: Array(channel.utf8), outputByteCount: 32)
    }
}
