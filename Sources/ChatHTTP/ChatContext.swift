package import Hummingbird

/// What travels with a request through middleware and controllers.
package struct ChatContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// The caller's `X-Request-Id`, or a new one; set by `RequestIDMiddleware`.
    package var requestID = ""

    package init(source: ApplicationRequestContextSource) {
        self.coreContext = CoreRequestContextStorage(source: source)
    }

    /// A parameter of the path; empty where the route has none, which no look-up accepts.
    package func parameter(_ name: String) -> Substring { coreContext.parameters[name[...]] ?? "" }
}
