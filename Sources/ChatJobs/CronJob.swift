/// A job with a schedule.
package struct CronJob: Sendable {
    /// The unique name, which sidekiq-cron's web tab shows.
    package let name: String
    /// Five fields, an alias such as `@hourly`, and a time zone if there is one: `*/5 * * * * Europe/Berlin`.
    package let expression: String
    /// The job's `class`.
    package let job: String
    package let queue: String
    /// One sentence for people.
    package let description: String

    package init(name: String, expression: String, job: String, queue: String = "default", description: String) {
        self.name = name
        self.expression = expression
        self.job = job
        self.queue = queue
        self.description = description
    }
}
