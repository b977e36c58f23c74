import MySQLClient

/// `CASE id WHEN ? THEN ? …`: a value for each row of one `UPDATE`.
struct CaseByID {
    /// The alternatives; append `ELSE … END`.
    let sql: String
    let parameters: [MySQLValue]

    init(_ values: [(id: Int64, value: Int64)]) {
        sql = "CASE id" + String(repeating: " WHEN ? THEN ?", count: values.count)
        parameters = values.flatMap { [MySQLValue.integer($0.id), MySQLValue.integer($0.value)] }
    }
}
