import Testing

@testable import ChatCore

/// Under any sequence of faults a reader gets every message after its cursor, once, in number order; and one that reads
/// changes ends with every message as it is.
@Suite(.timeLimit(.minutes(5))) struct StreamPropertyTests {
    private static let casesAnArgument: UInt64 = 200

    @Test(arguments: 0..<UInt64(10))
    func everyReaderGetsEverythingOnceInOrder(_ argument: UInt64) async {
        var (completed, voids, delivered) = (0, 0, 0)
        for seed in argument * Self.casesAnArgument..<(argument + 1) * Self.casesAnArgument {
            var world = StreamSimulation(seed: seed)
            world.run(writes: 40, arrivals: 8)
            #expect(world.excesses.isEmpty, "seed \(seed): \(world.excesses.prefix(3))")
            for reader in world.readers {
                let expected = world.messages(after: reader.cursor)
                if let came = reader.cameForTheNext {
                    // Those too that had their number before it came, below one that was stored.
                    #expect(Set(expected).isSuperset(of: world.messages(storedAfter: came)), "seed \(seed)")
                }
                if reader.hasLeft {
                    #expect(reader.received == Array(expected.prefix(reader.received.count)), "seed \(seed)")
                } else {
                    #expect(reader.received == expected, "seed \(seed), from \(reader.cursor)")
                    #expect(world.missing(for: reader) == [], "seed \(seed), from \(reader.cursor)")
                    completed += 1
                }
            }
            voids += world.voids
            delivered += world.delivered
            await Task.yield()  // Let other tests run.
            guard world.excesses.isEmpty else { return }
        }
        // It was worth it.
        #expect(completed > 200 && voids > 200 && delivered > 2000, "\(completed) \(voids) \(delivered)")
    }

    @Test func whoIsTooSlowHasMissedNothingBeforeThat() {
        var slow = 0
        for seed in 0..<UInt64(500) {
            var weather = StreamSimulation.Weather.calm
            weather.slowReaders = 0.5
            var world = StreamSimulation(seed: seed, weather: weather)
            world.run(writes: 60, arrivals: 6)
            for reader in world.readers where reader.isTooSlow {
                slow += 1
                let expected = world.messages(after: reader.cursor).prefix(reader.received.count)
                #expect(reader.received == Array(expected), "seed \(seed), from \(reader.cursor)")
            }
        }
        #expect(slow > 30, "\(slow)")
    }

    /// No reader is delayed for longer than the grace period and some calls of the store, here with tiny pages.
    @Test(arguments: 0..<UInt64(5))
    func holesHoldNobodyUpForLong(_ argument: UInt64) {
        for seed in argument * 100..<(argument + 1) * 100 {
            var world = StreamSimulation(seed: seed, weather: .fair)
            world.run(writes: 60, arrivals: 6)
            #expect(world.excesses.isEmpty, "seed \(seed)")
            #expect(world.longestHold < .seconds(3), "seed \(seed): \(world.longestHold)")
            #expect(world.readers.filter(\.isTooSlow).isEmpty, "seed \(seed)")
        }
    }

    @Test func whatIsMerelyOutOfOrderCostsNoRead() {
        for seed in 0..<UInt64(300) {
            var world = StreamSimulation(seed: seed, weather: .calm)
            world.run(writes: 40, arrivals: 4, audience: true)
            #expect(world.excesses.isEmpty && world.feedCalls == 0, "seed \(seed): \(world.feedCalls)")
        }
    }

    /// Within one process the bus loses nothing, so there is no polling: messages published while a feed opens must not
    /// be lost.
    @Test func withoutPollsNothingIsForgottenEither() {
        for seed in 0..<UInt64(1000) {
            var world = StreamSimulation(seed: seed, weather: .indoors)
            world.run(writes: Int(seed % 4) + 1, arrivals: 3)
            for reader in world.readers where !reader.hasLeft {
                #expect(reader.received == world.messages(after: reader.cursor), "seed \(seed), from \(reader.cursor)")
                #expect(world.missing(for: reader) == [], "seed \(seed), from \(reader.cursor)")
            }
        }
    }
}
