import ChatCore
import ChatHTTP
import Foundation
import Synchronization
import TestSupport
import Testing

/// Promises 1, 2, 4 and 7 through the HTTP API: durable before the answer, a number once, counts that agree, overload
/// refused; and the idempotency keys.
@Suite(.timeLimit(.minutes(3))) struct WriteTests {
    @Test func concurrentCreatesGetDenseUniqueNumbers() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let application = String(chat.dropLast(8))
            _ = try await server.client.send("POST", application + "/chats")
            let answers = try await withThrowingTaskGroup(of: (Int, Int, String).self) { group in
                for index in 0..<200 {
                    group.addTask {
                        let path = "\(application)/chats/\(index % 2 + 1)/messages"
                        let answer = try await server.client.post(path, json: "{\"body\":\"m\(index)\"}")
                        #expect(answer.status == 201)
                        return (index % 2 + 1, answer.json["message_number"] as? Int ?? 0, "m\(index)")
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            for number in 1...2 {
                let mine = answers.filter { $0.0 == number }
                #expect(mine.map(\.1).sorted() == Array(1...100))
                let stored = try await server.client.get("\(application)/chats/\(number)/messages?limit=1000").list
                for (_, given, body) in mine { #expect(stored[given - 1]["body"] as? String == body) }
            }
            let count = try await server.client.get(application + "/message_count")
            #expect(count.json["messages_count"] as? Int == 200)
        }
    }

    @Test func concurrentChatsGetDenseUniqueNumbers() async throws {
        try await TestServer.run { server in
            let application = try await server.client.makeApplication()
            let numbers = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<100 {
                    group.addTask {
                        let answer = try await server.client.send("POST", application + "/chats")
                        return answer.json["chat_number"] as? Int ?? 0
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(numbers.sorted() == Array(1...100))
            #expect(try await server.client.get(application).json["chats_count"] as? Int == 100)
        }
    }

    @Test func nothingIsAnsweredBeforeItIsStored() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            server.writes.hold()
            let isAnswered = Mutex(false)
            async let answer = {
                let answer = try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#)
                isAnswered.withLock { $0 = true }
                return answer
            }()
            try await server.writes.waitForHeld(1)
            // Other requests come and go; this one has no answer until the store has committed.
            for _ in 0..<20 { #expect(try await server.client.get(chat + "/messages").numbers == []) }
            #expect(isAnswered.withLock(\.self) == false)
            server.writes.release()
            #expect(try await answer.status == 201)
            #expect(try await server.client.get(chat + "/messages").numbers == [1])
        }
    }

    @Test func overloadIsRefusedAndTheRestIsServed() async throws {
        var limits = TestServer.limits
        limits.pendingEntries = 4
        try await TestServer.run(limits: limits) { server in
            let chat = try await server.client.makeChat()
            server.writes.hold()
            async let first = server.client.post(chat + "/messages", json: #"{"body":"first"}"#)
            try await server.writes.waitForHeld(1)
            let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
                for _ in 0..<40 {
                    group.addTask { try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#) }
                }
                var answers: [Answer] = []
                // 36 are refused while the store still holds the first batch; then the rest can go on.
                while let answer = try await group.next() {
                    answers.append(answer)
                    if answers.count == 36 { server.writes.release() }
                }
                return answers
            }
            let refused = answers.filter { $0.status == 503 }
            #expect(refused.count == 36)
            for answer in refused {
                #expect(answer.code == "overloaded")
                #expect(answer["Retry-After"] != nil)
            }
            #expect(try await first.status == 201)
            // Refused requests left no trace.
            #expect(try await server.client.get(chat + "/messages").numbers == Array(1...5))
        }
    }

    @Test func theDeadlineAnswersForAStoreThatHangs() async throws {
        var limits = TestServer.limits
        limits.deadline = .seconds(1)
        try await TestServer.run(limits: limits) { server in
            let chat = try await server.client.makeChat()
            server.writes.hold()
            let key = ["Idempotency-Key": "k"]
            let sent = try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#, headers: key)
            #expect(sent.status == 503)
            #expect(sent.code == "outcome_unknown")
            let waiting = try await server.client.post(chat + "/messages", json: #"{"body":"y"}"#)
            #expect(waiting.code == "timed_out")
            let again = try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#, headers: key)
            #expect(again.status == 409)
            #expect(again.code == "idempotency_key_in_flight")
            server.writes.release()
            // A retry with the key finds the outcome.
            var retry = again
            try await eventually("the first has ended") {
                retry = try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#, headers: key)
                return retry.status != 409
            }
            #expect(retry.status == 201)
            #expect(retry.json["message_number"] as? Int == 1)
            #expect(retry["Idempotent-Replayed"] == "true")
            #expect(try await server.client.get(chat + "/messages").numbers == [1])
        }
    }

    @Test func aStoreThatFailsIs503AndNothingIsStored() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            server.writes.fail(ChatError.unavailable(reason: "The disk is full"))
            let answer = try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#)
            #expect(answer.status == 503)
            #expect(answer.json["detail"] as? String == "The disk is full.")
            #expect(answer["Retry-After"] != nil)
            server.writes.fail(nil)
            let next = try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#)
            #expect(next.json["message_number"] as? Int == 1)
        }
    }

    @Test func aRetryOfAMessageAnswersTheFirst() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let key = ["Idempotency-Key": "\"a key\""]
            let first = try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#, headers: key)
            #expect(first["Idempotent-Replayed"] == nil)
            _ = try await server.client.post(chat + "/messages", json: #"{"body":"between"}"#)
            // Another encoding of the same request is still the same request.
            let again = try await server.client.post(
                chat + "/messages", json: #"{"message":{"body":"x"}}"#, headers: key)
            #expect(again.status == 201)
            #expect(again.text == first.text)
            #expect(again["Location"] == first["Location"])
            #expect(again["Idempotent-Replayed"] == "true")
            let other = try await server.client.post(chat + "/messages", json: #"{"body":"y"}"#, headers: key)
            #expect(other.status == 422)
            #expect(other.code == "idempotency_key_reused")
            #expect(try await server.client.get(chat + "/messages").numbers == [1, 2])
        }
    }

    @Test func aRetryOfAChatAnswersTheFirst() async throws {
        try await TestServer.run { server in
            let path = try await server.client.makeApplication() + "/chats"
            let key = ["Idempotency-Key": "k"]
            let first = try await server.client.send("POST", path, headers: key)
            let again = try await server.client.send("POST", path, headers: key)
            #expect(first.text == "{\"chat_number\":1}")
            #expect(again.text == first.text)
            #expect(again["Idempotent-Replayed"] == "true")
            #expect(try await server.client.post(path, json: "{}", headers: key).status == 422)
            #expect(try await server.client.send("POST", path).text == "{\"chat_number\":2}")
        }
    }

    @Test func oneKeySentManyTimesAtOnceStoresOnce() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let statuses = try await withThrowingTaskGroup(of: (Int, Int?).self) { group in
                for _ in 0..<50 {
                    group.addTask {
                        let answer = try await server.client.post(
                            chat + "/messages", json: #"{"body":"x"}"#, headers: ["Idempotency-Key": "k"])
                        return (answer.status, answer.json["message_number"] as? Int)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            for (status, number) in statuses {
                #expect(status == 201 && number == 1 || status == 409 && number == nil)
            }
            #expect(statuses.contains { $0.0 == 201 })
            #expect(try await server.client.get(chat + "/messages").numbers == [1])
        }
    }

    @Test func shutdownFinishesWhatWasAccepted() async throws {
        // TestServer.run shuts down while the request waits for the store; it must still get its answer.
        let request = try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            server.writes.hold()
            let request = Task { try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#).status }
            try await server.writes.waitForHeld(1)
            Task {
                // Let the shutdown begin first: then nobody listens any more.
                defer { server.writes.release() }
                try await eventually("nobody listens") { (try? RawConnection(port: server.client.port)) == nil }
            }
            return request
        }
        #expect(try await request.value == 201)
    }
}
