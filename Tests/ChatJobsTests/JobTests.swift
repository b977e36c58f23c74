import ChatJobs
import Testing

@Suite struct JobTests {
    @Test func theDefaultsAreSidekiqs() {
        #expect(JobOptions().queue == "default")
        #expect(JobOptions().retries == 25)
    }
}
