import COpenSSL

/// A public key for signatures of Ed25519 (RFC 8032).
package struct Ed25519PublicKey: Equatable, Sendable {
    package static let length = 32
    package static let signatureLength = 64

    package let bytes: [UInt8]
    private let key: Key

    /// - Parameter bytes: as RFC 8032, 5.1.5, encodes a key.
    /// - Returns: nil unless they are a point of the curve, and not one of the eight that make every signature easy to
    ///   forge.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.length, Self.isStrongPoint(bytes), let key = Key(bytes) else { return nil }
        self.bytes = bytes
        self.key = key
    }

    /// Whether the owner of the private key signed the message. Takes about 0.1 ms.
    package func isSignature(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard signature.count == Self.signatureLength else { return false }
        guard let context = EVP_MD_CTX_new() else { preconditionFailure("Out of memory") }
        defer { EVP_MD_CTX_free(context) }
        guard EVP_DigestVerifyInit(context, nil, nil, nil, key.pointer) == 1,
            EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
        else {
            // TLS on this thread must not take it for an error of its own.
            ERR_clear_error()
            return false
        }
        return true
    }

    package static func == (left: Ed25519PublicKey, right: Ed25519PublicKey) -> Bool { left.bytes == right.bytes }

    /// OpenSSL's key. Any number of threads may verify with it at the same time.
    private final class Key: @unchecked Sendable {
        let pointer: OpaquePointer

        init?(_ bytes: [UInt8]) {
            guard let pointer = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, bytes, bytes.count) else {
                ERR_clear_error()
                return nil
            }
            self.pointer = pointer
        }

        deinit { EVP_PKEY_free(pointer) }
    }
}

// OpenSSL 3.0 takes any 32 bytes as a key. About half are no point of the curve, so that nothing verifies; whoever
// uploads such a key should hear of it at once.
extension Ed25519PublicKey {
    /// Whether the bytes encode a point of the curve in its one form, and none of the eight of small order.
    private static func isStrongPoint(_ bytes: [UInt8]) -> Bool {
        var bytes = bytes
        bytes[31] &= 0x7F  // The rest is the sign of x.
        guard !weak.contains(bytes) else { return false }

        guard let context = BN_CTX_new() else { preconditionFailure("Out of memory") }
        defer { BN_CTX_free(context) }
        BN_CTX_start(context)
        defer { BN_CTX_end(context) }
        func number() -> OpaquePointer {
            guard let number = BN_CTX_get(context) else { preconditionFailure("Out of memory") }
            return number
        }
        // p = 2^255 − 19.
        let (p, y) = (number(), number())
        check(BN_set_bit(p, 255))
        check(BN_sub_word(p, 19))
        guard BN_lebin2bn(bytes, Int32(bytes.count), y) != nil else { preconditionFailure("Out of memory") }
        guard BN_cmp(y, p) < 0 else { return false }

        // x² = (y² − 1) / (dy² + 1) with d = −121665 / 121666. There is an x if the product of both terms and of the
        // square of 121666 is a square: (y² − 1) (121666 − 121665 y²) 121666.
        let (left, right, product) = (number(), number(), number())
        check(BN_mod_sqr(left, y, p, context))
        check(BN_set_word(right, 121_666))
        check(BN_copy(product, left) != nil ? 1 : 0)
        check(BN_mul_word(product, 121_665))
        check(BN_sub(right, right, product))
        check(BN_mul_word(right, 121_666))
        check(BN_sub_word(left, 1))
        check(BN_mod_mul(product, left, right, p, context))
        // 1 for a square, −1 for none, 0 for 0, and −2 without memory.
        let symbol = BN_kronecker(product, p, context)
        check(symbol == -2 ? 0 : 1)
        return symbol == 1
    }

    /// The y of the eight points of small order, below p: the orders 4, 1, 8, 8 and 2.
    private static let weak: [[UInt8]] = [
        [UInt8](repeating: 0, count: 32),
        [1] + [UInt8](repeating: 0, count: 31),
        [
            0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF, 0x98, 0xF0,
            0xD5, 0xDF, 0xAC, 0x05, 0xD3, 0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88, 0x6D, 0x53, 0xFC, 0x05,
        ],
        [
            0xC7, 0x17, 0x6A, 0x70, 0x3D, 0x4D, 0xD8, 0x4F, 0xBA, 0x3C, 0x0B, 0x76, 0x0D, 0x10, 0x67, 0x0F,
            0x2A, 0x20, 0x53, 0xFA, 0x2C, 0x39, 0xCC, 0xC6, 0x4E, 0xC7, 0xFD, 0x77, 0x92, 0xAC, 0x03, 0x7A,
        ],
        [0xEC] + [UInt8](repeating: 0xFF, count: 30) + [0x7F],
    ]

    private static func check(_ result: Int32) {
        guard result == 1 else { preconditionFailure("Out of memory") }
    }
}
