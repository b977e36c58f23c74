import Testing

/// A query, bodies that contain it and bodies that do not. The same for every store and every index (docs/search.md).
package struct SearchCase: Sendable, CustomTestStringConvertible {
    package let query: String
    package let found: [String]
    package let missed: [String]

    package init(_ query: String, finds found: [String], not missed: [String] = []) {
        self.query = query
        self.found = found
        self.missed = missed
    }

    package var testDescription: String { query.count < 40 ? query : "\(query.prefix(40))…" }

    package static let all =
        letters + marks + spellings + digits + eastAsia + emoji + directions + literals + spaces + lengths

    private static let letters = [
        SearchCase("e", finds: ["É", "xEx", "ｅ", "𝓔", "e\u{301}"], not: ["x", "ə"]),
        SearchCase("É", finds: ["e", "E\u{301}", "café"], not: ["x"]),
        SearchCase("cafe", finds: ["Café", "CAFE\u{301}", "a café"], not: ["caf", "caf e"]),
        SearchCase("istanbul", finds: ["İstanbul", "ISTANBUL", "i\u{307}stanbul"], not: ["ıstanbul"]),
        SearchCase("ısı", finds: ["ısı"], not: ["isi", "ISI"]),
        SearchCase("I", finds: ["i", "İ", "Í"], not: ["ı"]),
        SearchCase("o", finds: ["Ø", "ô", "º"], not: ["0"]),
        SearchCase("dlh", finds: ["đłħ", "ĐŁĦ"]),
        SearchCase("strasse", finds: ["STRASSE"], not: ["Straße"]),
        SearchCase("straße", finds: ["Straße", "STRAẞE"], not: ["strasse"]),
        SearchCase("ß", finds: ["ẞ"], not: ["ss", "s", "B"]),
        SearchCase("σίσυφος", finds: ["ΣΊΣΥΦΟΣ", "Σισυφος", "σίσυφοσ"], not: ["σίσυφο"]),
        SearchCase("σ", finds: ["ς", "Σ"]),
        SearchCase("ς", finds: ["σ", "Σ"], not: ["s"]),
        SearchCase("привет", finds: ["ПРИВЕТ", "Приве\u{301}т"], not: ["превед"]),
        SearchCase("й", finds: ["Й", "и\u{306}", "йод"], not: ["и", "и\u{308}"]),
        SearchCase("и", finds: ["И", "и\u{300}"], not: ["й", "И\u{306}"]),
        SearchCase("елка", finds: ["ёлка", "ЁЛКА", "е\u{308}лка"]),
        SearchCase("ґанок", finds: ["ганок", "Ґанок"]),
    ]

    /// Signs that are letters by their weight, though they stand above or below one, and signs that are not.
    private static let marks = [
        SearchCase("กิน", finds: ["กินข้าว", "ไปกินกัน"], not: ["กัน", "กน"]),
        SearchCase("น้ำ", finds: ["น้ำ", "นำ", "น\u{E4D}\u{E49}\u{E32}"], not: ["นา", "น้า"]),
        SearchCase("ກິນ", finds: ["ກິນ"], not: ["ກັນ", "ກນ"]),
        SearchCase("मरा", finds: ["मरा", "वह मरा नहीं"], not: ["मेरा", "मारा", "मर"]),
        SearchCase("मेरा", finds: ["मेरा"], not: ["मरा"]),
        SearchCase("कलम", finds: ["क़लम", "क\u{93C}लम"], not: ["खलम"]),
        SearchCase("মরা", finds: ["মরা"], not: ["মেরা"]),
        SearchCase("কো", finds: ["ক\u{9CB}", "ক\u{9C7}\u{9BE}"], not: ["কে", "কা"]),
        SearchCase("কে", finds: ["কে"], not: ["ক\u{9CB}", "ক\u{9C7}\u{9BE}"]),
        SearchCase("கொ", finds: ["க\u{BCA}", "க\u{BC6}\u{BBE}"], not: ["கெ", "கா"]),
        SearchCase("કિ", finds: ["કિ"], not: ["કુ", "ક"]),
        SearchCase("కి", finds: ["కి"], not: ["కు", "క"]),
        SearchCase("ಕೋ", finds: ["ಕ\u{CCB}", "ಕ\u{CC6}\u{CC2}\u{CD5}"], not: ["ಕ\u{CCA}", "ಕೆ"]),
        SearchCase("കി", finds: ["കി"], not: ["കു", "ക"]),
        SearchCase("කෝ", finds: ["ක\u{DDD}", "ක\u{DD9}\u{DCF}\u{DCA}"], not: ["ක\u{DDC}", "කෙ"]),
        SearchCase("မိ", finds: ["မိ"], not: ["မု", "မ"]),
        SearchCase("ཀི", finds: ["ཀི"], not: ["ཀུ", "ཀ"]),
        SearchCase("ខ្មែរ", finds: ["ភាសាខ្មែរ"], not: ["ខ្មរ"]),
        SearchCase("שלום", finds: ["שָׁלוֹם", "שלומ", "\u{FB2A}לום"], not: ["שלו"]),
        SearchCase("כמנפצ", finds: ["ךםןףץ"]),
        SearchCase("محمد", finds: ["مُحَمَّد", "مح\u{640}\u{640}مد", "ﻣﺤﻤﺪ"], not: ["احمد"]),
        SearchCase("أحمد", finds: ["أحمد", "\u{627}\u{654}حمد"], not: ["احمد", "إحمد"]),
        SearchCase("احمد", finds: ["احمد"], not: ["أحمد", "\u{627}\u{654}حمد"]),
        SearchCase("\u{301}", finds: ["e\u{301}"], not: ["é", "e"]),
    ]

    /// One letter for several, and several for one.
    private static let spellings = [
        SearchCase("fi", finds: ["ﬁn", "xﬁ"], not: ["f i"]),
        SearchCase("ﬁ", finds: ["fi", "Fi"], not: ["f"]),
        SearchCase("office", finds: ["oﬃce", "OFFICE"]),
        SearchCase("i", finds: ["ﬁ", "ﷲ i"], not: ["ﬀ"]),
        SearchCase("oeuvre", finds: ["œuvre", "ŒUVRE", "oe\u{300}uvre"]),
        SearchCase("æ", finds: ["ae", "AE", "ǽ"], not: ["a", "ä"]),
        SearchCase("km", finds: ["5 ㎞", "KM", "\u{212A}m"], not: ["k m"]),
        SearchCase("株式会社", finds: ["㍿", "ニコ株式会社"]),
        SearchCase("...", finds: ["…", "a..."], not: [".."]),
        SearchCase("l·l", finds: ["col·lecció", "co\u{140}lecció"], not: ["collecció"]),
        SearchCase("الله", finds: ["الله", "ﷲ"]),
        SearchCase("tm", finds: ["Luciq™", "TM"]),
    ]

    private static let digits = [
        SearchCase(
            "123", finds: ["123", "١٢٣", "۱۲۳", "१२३", "๑๒๓", "１２３", "𝟙𝟚𝟛", "①②③", "¹²³"], not: ["1 23", "132"]),
        SearchCase("۱۲۳", finds: ["123", "۱۲۳", "١٢٣"], not: ["12"]),
        SearchCase("10", finds: ["⑩", "x10"], not: ["1", "01"]),
    ]

    private static let eastAsia = [
        SearchCase("中文", finds: ["学中文吧", "中文"], not: ["中 文", "文中", "中丈"]),
        SearchCase("国", finds: ["中国"], not: ["國"]),
        SearchCase("豈", finds: ["\u{F900}", "\u{8C48}"]),
        SearchCase("一", finds: ["\u{2F00}"], not: ["ー", "二"]),
        SearchCase("かな", finds: ["カナ", "ｶﾅ", "がな", "か\u{3099}な"], not: ["かー", "なか"]),
        SearchCase("ハ", finds: ["は", "ば", "パ", "ﾊﾟ", "ハ\u{309A}"], not: ["ほ"]),
        SearchCase("がっこう", finds: ["ガッコウ", "かつこう"], not: ["がこう"]),
        SearchCase("한국", finds: ["한국어", "\u{1112}\u{1161}\u{11AB}\u{1100}\u{116E}\u{11A8}"], not: ["하국", "한구"]),
        SearchCase("하", finds: ["하늘", "\u{1112}\u{1161}늘"], not: ["한", "\u{1112}\u{1161}\u{11AB}"]),
        SearchCase("\u{1112}\u{1161}\u{11AB}", finds: ["한"], not: ["하"]),
        SearchCase("ㅋㅋ", finds: ["ㅋㅋㅋ", "ㅋㅋ"], not: ["ㅋ", "크크"]),
    ]

    private static let emoji = [
        SearchCase("😀", finds: ["a😀b", "😀"], not: ["😁", "x"]),
        SearchCase("👍", finds: ["👍", "👍🏽"], not: ["👎"]),
        SearchCase("👍🏽", finds: ["👍🏽 ok"], not: ["👍", "👍🏿"]),
        SearchCase("❤", finds: ["❤️", "❤"], not: ["💙"]),
        SearchCase("❤️", finds: ["❤"]),
        SearchCase("👩", finds: ["👨‍👩‍👧", "👩🏽"], not: ["👨"]),
        SearchCase("🇩🇪", finds: ["🇩🇪"], not: ["🇫🇷", "🇩"]),
    ]

    private static let directions = [
        SearchCase("שלום עולם", finds: ["\u{202B}שלום\u{200F} עולם\u{202C}!"], not: ["עולם שלום"]),
        SearchCase(
            "abc", finds: ["\u{202E}abc", "a\u{200D}b\u{200C}c", "a\u{AD}bc", "ab\u{FEFF}c"], not: ["cba", "acb"]),
        SearchCase("می‌خواهم", finds: ["میخواهم", "می\u{200C}خواهم"], not: ["مي خواهم"]),
    ]

    /// Characters that mean something to LIKE, to regular expressions, or in SQL.
    private static let literals = [
        SearchCase("100%", finds: ["at 100% now"], not: ["1000", "100"]),
        SearchCase("a%c", finds: ["A%C"], not: ["abc", "ac"]),
        SearchCase("a_b", finds: ["A_B"], not: ["axb", "a b"]),
        SearchCase("_", finds: ["_"], not: ["x", "-"]),
        SearchCase("%", finds: ["%"], not: ["x"]),
        SearchCase("\\", finds: ["back\\slash"], not: ["/", "x"]),
        SearchCase("\\%", finds: ["\\%"], not: ["%", "\\"]),
        SearchCase("\\E", finds: ["a\\Eb", "\\e"], not: ["E", "\\"]),
        SearchCase("O'Brien", finds: ["o'brien"], not: ["OBrien", "O’Brien"]),
        SearchCase("''", finds: ["''"], not: ["'", "\""]),
        SearchCase("\"q\"", finds: ["a \"Q\""], not: ["q", "“q”"]),
        SearchCase("'; DROP", finds: ["'; drop table"], not: ["DROP"]),
        SearchCase("a.c", finds: ["a.c"], not: ["abc"]),
        SearchCase("[a-z]", finds: ["[A-Z]"], not: ["b"]),
        SearchCase("(x)*", finds: ["(x)*"], not: ["x", "xx", "(x)"]),
        SearchCase("^a", finds: ["^a"], not: ["a"]),
        SearchCase("a$", finds: ["a$"], not: ["a"]),
        SearchCase("a|b", finds: ["a|b"], not: ["a", "b"]),
        SearchCase("{1}?", finds: ["a{1}?"], not: ["a", "1"]),
        SearchCase("\u{1}", finds: ["a\u{1}b"], not: ["ab", "\u{2}"]),
    ]

    private static let spaces = [
        SearchCase("a b", finds: ["a b", "a\u{A0}b", "A\u{3000}B"], not: ["ab", "a  b", "a\tb", "a\nb"]),
        SearchCase("a\nb", finds: ["a\nb"], not: ["a b", "a\r\nb"]),
        SearchCase("\tb", finds: ["a\tb"], not: ["b", " b"]),
        SearchCase(" x", finds: ["a x"], not: ["x", "ax "]),
        SearchCase("x ", finds: ["x y"], not: ["x", " x"]),
        SearchCase("bc", finds: ["abcd"], not: ["ab", "cd"]),
        SearchCase("ana", finds: ["banana", "ana", "ANANA"], not: ["an", "a na"]),
        SearchCase("aab", finds: ["aaab", "aaaab"], not: ["abab", "aaa"]),
    ]

    private static let lengths = [
        SearchCase("x", finds: ["x", "x at the start", "at the end: x"], not: ["none"]),
        SearchCase("ж", finds: ["ж", "ж в начале", "в конце Ж"], not: ["нет"]),
        SearchCase(
            String(repeating: "ab", count: 127) + "c",
            finds: [String(repeating: "AB", count: 127) + "C", String(repeating: "ab", count: 200) + "c"],
            not: [String(repeating: "ab", count: 126) + "c", String(repeating: "ab", count: 300)]),
        SearchCase(
            String(repeating: "é", count: 255), finds: [String(repeating: "e", count: 255)],
            not: [String(repeating: "é", count: 254)]),
        SearchCase(
            String(repeating: "ﷺ", count: 255), finds: [String(repeating: "ﷺ", count: 256)],
            not: [String(repeating: "ﷺ", count: 254)]),
        SearchCase(
            "needle", finds: ["needle" + filler, filler + "needle", filler + "Needle" + filler],
            not: [filler + "needl" + filler]),
    ]

    private static let filler = String(repeating: "nee dle – ", count: 2000)
}
