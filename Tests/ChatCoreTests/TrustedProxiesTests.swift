import TestSupport
import Testing

@testable import ChatCore

@Suite struct TrustedProxiesTests {
    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("::", "::"),
        ("::1", "::1"), ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:0201", "192.0.2.1"), ("::192.0.2.1", "::192.0.2.1"),
    ])
    func anAddressHasOneForm(_ text: String, _ form: String) {
        #expect(IPAddress(text)?.description == form)
    }

    @Test(arguments: [
        "", " ", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4:80", "0x7f.0.0.1",
        "1.2.3.-4", "1.2.3.4\u{0}", "::1\u{0}", ":", ":::", "1::2::3", "12345::", "g::1", "fe80::1%eth0", "[::1]",
        "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "localhost", "unknown", "１.2.3.4", String(repeating: "1", count: 100),
    ])
    func nothingElseIsAnAddress(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test(arguments: [
        ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], ["9.255.255.255", "11.0.0.0", "::a00:1"]),
        ("192.0.2.1", ["192.0.2.1"], ["192.0.2.0", "192.0.2.2"]),
        ("192.0.2.1/32", ["192.0.2.1"], ["192.0.2.0", "192.0.2.2"]),
        ("0.0.0.0/0", ["1.2.3.4", "255.255.255.255"], ["::1", "2001:db8::1"]),
        ("::/0", ["::1", "2001:db8::1"], ["1.2.3.4", "::ffff:1.2.3.4"]),
        ("2001:db8::/32", ["2001:db8::", "2001:db8:ffff::1"], ["2001:db7::", "2001:db9::", "32.1.13.184"]),
        ("fd00::/9", ["fd00::1", "fd7f::1"], ["fd80::", "fc00::"]),
        ("::1/128", ["::1"], ["::2", "::"]), ("::ffff:10.0.0.0/104", ["10.9.9.9", "::ffff:10.0.0.1"], ["11.0.0.1"]),
        ("172.16.0.0/12", ["172.16.0.1", "172.31.255.255"], ["172.15.255.255", "172.32.0.0"]),
    ])
    func aRangeHasItsAddresses(_ text: String, _ inside: [String], _ outside: [String]) throws {
        let range = try #require(AddressRange(text))
        for address in inside { #expect(range.contains(try #require(IPAddress(address))), "\(address)") }
        for address in outside { #expect(!range.contains(try #require(IPAddress(address))), "\(address)") }
    }

    @Test(arguments: [
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/8/8", "10/8",
        "10.0.0.1/8", "::1/127", "::/129", "2001:db8::/99999999999999999999", "10.0.0.0/255.0.0.0", "10.0.0.0 /8",
        "::ffff:0.0.0.0/90", "*", "all",
    ])
    func nothingElseIsARange(_ text: String) {
        #expect(AddressRange(text) == nil)
    }

    /// Against the definition: the first bits are the same.
    @Test func rangesOfAnyLength() throws {
        var random = SeededRandom(seed: 4)
        for _ in 0..<2000 {
            let address = UInt32.random(in: 0...UInt32.max, using: &random)
            let other = address ^ (1 << UInt32.random(in: 0..<32, using: &random))
            let length = UInt32.random(in: 0...32, using: &random)
            let mask: UInt32 = length == 0 ? 0 : ~0 << (32 - length)
            func text(_ value: UInt32) -> String {
                [24, 16, 8, 0].map { String(value >> $0 & 255) }.joined(separator: ".")
            }
            let range = try #require(AddressRange("\(text(address & mask))/\(length)"))
            #expect(range.contains(try #require(IPAddress(text(address)))))
            #expect(range.contains(try #require(IPAddress(text(other)))) == (address & mask == other & mask))
        }
    }

    @Test(arguments: [
        // Without a header, and from a peer that is not trusted, whatever it says.
        ("10.0.0.1", [], "10.0.0.1"), ("198.51.100.1", ["203.0.113.7"], "198.51.100.1"),
        ("198.51.100.1", ["10.0.0.1, 10.0.0.2"], "198.51.100.1"),
        // One proxy, two, and one whose client lies.
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"), ("10.0.0.1", ["203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.7"], "203.0.113.7"), ("10.0.0.1", ["10.9.9.9, 203.0.113.7"], "203.0.113.7"),
        // In several fields.
        ("10.0.0.1", ["1.1.1.1", "203.0.113.7", "10.0.0.2"], "203.0.113.7"),
        // An empty entry is a client that a proxy does not know, and what is before it is the client's word.
        ("10.0.0.1", ["1.1.1.1, 203.0.113.7", "", "10.0.0.3,10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["1.1.1.1,"], "10.0.0.1"), ("10.0.0.1", ["1.1.1.1, "], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1", ""], "10.0.0.1"), ("10.0.0.1", ["1.1.1.1,,10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"), ("10.0.0.1", [", 203.0.113.7"], "203.0.113.7"),
        // Only proxies: the first.
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        // Not an address: the proxy that wrote it.
        ("10.0.0.1", ["unknown"], "10.0.0.1"), ("10.0.0.1", ["203.0.113.7, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["203.0.113.7, <script>"], "10.0.0.1"), ("10.0.0.1", ["203.0.113.7 10.0.0.2"], "10.0.0.1"),
        // A character that would swallow the comma of the proxy.
        ("10.0.0.1", ["1.1.1.1\u{600},203.0.113.7"], "203.0.113.7"),
        // Blanks, ports, brackets, IPv6, mapped.
        ("10.0.0.1", [" \t203.0.113.7 \t, 10.0.0.2 "], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7:4711"], "203.0.113.7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"), ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["[2001:db8::7]"], "2001:db8::7"), ("10.0.0.1", ["[203.0.113.7]:80"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7:99999"], "10.0.0.1"), ("10.0.0.1", ["203.0.113.7:"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.7"], "203.0.113.7"), ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
    ])
    func theClientIsTheRightmostThatIsNotTrusted(_ peer: String, _ forwarded: [String], _ client: String) throws {
        let proxies = try TrustedProxies("10.0.0.0/8, fd00::/8")
        #expect(proxies.client(peer: try #require(IPAddress(peer)), forwarded: forwarded).description == client)
    }

    @Test func withoutTheSettingTheHeaderIsIgnored() throws {
        let peer = try #require(IPAddress("10.0.0.1"))
        #expect(TrustedProxies().client(peer: peer, forwarded: ["203.0.113.7"]) == peer)
        #expect(try TrustedProxies("").client(peer: peer, forwarded: ["203.0.113.7"]) == peer)
    }

    @Test func soManyHopsAreFollowed() throws {
        let proxies = try TrustedProxies("10.0.0.0/8")
        let peer = try #require(IPAddress("10.0.0.1"))
        func client(hops: Int) -> String {
            let header = ["203.0.113.7"] + (1..<hops).reversed().map { "10.1.0.\($0)" }
            return proxies.client(peer: peer, forwarded: [header.joined(separator: ",")]).description
        }
        #expect(client(hops: 32) == "203.0.113.7")
        #expect(client(hops: 33) == "10.1.0.32")
        #expect(client(hops: 200) == "10.1.0.32")
    }

    @Test func aMistakeInTheSettingIsNamed() throws {
        let error = #expect(throws: TrustedProxies.Malformed.self) { try TrustedProxies("10.0.0.0/8, 10.1.2.3/8") }
        #expect(
            error?.description
                == "must be addresses or ranges such as 10.0.0.0/8, separated by commas, and “10.1.2.3/8” is neither")
        _ = try TrustedProxies(String(repeating: "::1,", count: 256))
        #expect(throws: TrustedProxies.Malformed(description: "must be at most 256 addresses or ranges")) {
            try TrustedProxies(String(repeating: "::1,", count: 257))
        }
    }

    @Test func aNetworkOfIPv6IsOneClient() throws {
        #expect(IPAddress("2001:db8:1:2:3:4:5:6")?.network == IPAddress("2001:db8:1:2::"))
        #expect(IPAddress("2001:db8:1:3::1")?.network != IPAddress("2001:db8:1:2::1")?.network)
        #expect(IPAddress("192.0.2.1")?.network == IPAddress("192.0.2.1"))
    }
}
