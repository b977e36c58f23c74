import Testing

@testable import luciq

/// When files are read again, and which failures are reported. A letter is a state of the files.
@Suite struct ReloadStateTests {
    /// `#expect` cannot call what changes a value.
    private final class Files {
        private var state = ReloadState(loaded: "a")
        var isFailing: Bool { state.isFailing }
        func looks(_ version: String) -> Bool { state.looks(version) }
        func hasLoaded(_ version: String) { state.hasLoaded(version) }
        func hasFailed(_ version: String, isAsked: Bool = false) -> Bool {
            state.hasFailed(version, isAsked: isAsked)
        }
    }

    @Test func onlyWhatHasChangedIsRead() {
        let state = Files()
        #expect(!state.looks("a"))
        #expect(state.looks("b"))
        state.hasLoaded("b")
        #expect(!state.looks("b"))
        #expect(state.looks("a"))
    }

    @Test func aPairThatIsHalfThereIsNotReported() {
        let state = Files()
        #expect(state.looks("b"))
        #expect(!state.hasFailed("b"))
        #expect(state.looks("c"))
        state.hasLoaded("c")
        #expect(!state.isFailing)
    }

    @Test func aFailureIsReportedOnceItStays() {
        let state = Files()
        #expect(state.looks("b"))
        #expect(!state.hasFailed("b"))
        #expect(state.looks("b"))
        #expect(state.hasFailed("b"))
        #expect(state.isFailing)
        // Nothing has changed: it would fail again.
        #expect(!state.looks("b"))
        // Another state fails in another way.
        #expect(state.looks("c"))
        #expect(!state.hasFailed("c"))
        #expect(state.isFailing)
        #expect(state.looks("c"))
        #expect(state.hasFailed("c"))
    }

    @Test func filesThatArePutBackEndTheFailure() {
        let state = Files()
        #expect(state.hasFailed("b", isAsked: true))
        #expect(state.isFailing)
        #expect(!state.looks("a"))
        #expect(!state.isFailing)
        #expect(state.looks("b"))
    }
}
