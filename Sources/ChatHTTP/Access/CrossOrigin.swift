import ChatCore
import Synchronization

/// What an answer says to pages of the origins that its application has set (the fetch standard, 3.3). It is decided with
/// the access of who asks: to a stranger the answers of an application are those of none.
enum CrossOrigin: UInt8, AtomicRepresentable {
    /// Nothing: the application has set none.
    case none
    /// The request's origin, if any, is none of them. Another one may be.
    case varies
    /// The page that asks may read it.
    case allowed
}

extension Request {
    /// The origin of the page that sends the request, as browsers write it, if it is not this server's own or
    /// `CORS_ORIGIN`.
    func foreignOrigin(corsOrigin: String?) -> String? {
        guard headers.has(.origin), let text = headers[.origin],
            !Origin.isWelcome(text, at: headers[.host], corsOrigin: corsOrigin)
        else { return nil }
        return Origin(text)?.description
    }
}

extension Call {
    /// - Parameters:
    ///   - origin: of the page that sends the request, if it is a foreign one.
    ///   - rules: of the application in its path.
    func allow(_ origin: String?, by rules: TenantRules?) {
        guard let rules, !rules.origins.isEmpty else { return }
        let isAllowed = origin.map { rules.allows($0) } == true
        crossOrigin.store(isAllowed ? .allowed : .varies, ordering: .relaxed)
    }
}
