import Crypto
import Foundation

/// Seals what goes over the bus, so that Redis and whoever reaches it can neither read, nor alter, nor make it, nor move it
/// to another chat. What they can do is to send it again, which readers notice by its numbers, and to hold it back.
///
/// A sealed payload is a version, `1`, and in Base64 what AES-GCM makes: nonce, ciphertext, tag. Each channel has a key of
/// its own, derived from the deployment's by HKDF-SHA256, so that random nonces of 96 bits are enough: a chat would need
/// 2^32 batches before two of them are the same with a probability of 2^-33.
struct BusSeal: Sendable {
    private static let version = [UInt8(ascii: "1")]

    private let key: SymmetricKey

    init(key: SymmetricKey) { self.key = key }

    func seal(_ plain: [UInt8], for channel: String) -> [UInt8] {
        do {
            let box = try AES.GCM.seal(plain, using: channelKey(channel), authenticating: Self.version)
            return Self.version + box.combined!.base64EncodedData()
        } catch {
            // It refuses nothing but texts past 64 GB.
            preconditionFailure("AES-GCM: \(error)")
        }
    }

    /// - Returns: nil for what no process of this deployment has sealed for this channel, in a version known here.
    func open(_ sealed: [UInt8], from channel: String) -> [UInt8]? {
        guard sealed.starts(with: Self.version),
            let combined = Data(base64Encoded: Data(sealed.dropFirst(Self.version.count))),
            let box = try? AES.GCM.SealedBox(combined: combined),
            let plain = try? AES.GCM.open(box, using: channelKey(channel), authenticating: Self.version)
        else { return nil }
        return Array(plain)
    }

    private func channelKey(_ channel: String) -> SymmetricKey {
        HKDF<SHA256>.expand(pseudoRandomKey: key, info: Array(channel.utf8), outputByteCount: 32)
    }
}
