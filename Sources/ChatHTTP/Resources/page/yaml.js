// As much of YAML as openapi.yaml is written in: mappings and sequences by indentation, one scalar a line, plain or
// quoted, sequences of those in brackets, `|` blocks, and comments on lines of their own.

class YAMLReader {
  #lines; #at = 0;

  static read(text) { return new YAMLReader(text).#node(0); }

  constructor(text) { this.#lines = text.split("\n"); }

  // The next line that says something; how far it is indented, -1 at the end.
  get #indent() {
    while (/^ *(#.*)?$/.test(this.#lines[this.#at] ?? "x")) this.#at += 1;
    return this.#lines[this.#at]?.search(/[^ ]/) ?? -1;
  }

  static #entry = /^ *(?:'([^']*)'|([^' ].*?)):(?: +(.*))?$/;

  // @param least how far it has to be indented, to be there at all
  #node(least) {
    const indent = this.#indent;
    if (indent < least) return null;
    return this.#lines[this.#at].startsWith("- ", indent) ? this.#sequence(indent) : this.#mapping(indent);
  }

  #mapping(indent) {
    const result = {};
    while (this.#indent === indent) {
      const line = this.#lines[this.#at];
      const [, quoted, plain, rest = ""] = line.match(YAMLReader.#entry) ?? this.#fail(line);
      this.#at += 1;
      const key = quoted ?? plain;
      if (rest === "|") result[key] = this.#block(indent);
      else result[key] = rest === "" ? this.#node(indent + 1) : YAMLReader.#scalar(rest);
    }
    return result;
  }

  #sequence(indent) {
    const result = [];
    while (this.#indent === indent && this.#lines[this.#at].startsWith("- ", indent)) {
      const line = this.#lines[this.#at].replace("- ", "  ");
      if (YAMLReader.#entry.test(line)) {
        this.#lines[this.#at] = line;
        result.push(this.#mapping(indent + 2));
      } else {
        this.#at += 1;
        result.push(YAMLReader.#scalar(line.trim()));
      }
    }
    return result;
  }

  #block(indent) {
    const from = this.#at;
    while (/^ *$/.test(this.#lines[this.#at] ?? "x") || this.#lines[this.#at]?.search(/[^ ]/) > indent) this.#at += 1;
    const lines = this.#lines.slice(from, this.#at);
    const margin = lines[0].search(/[^ ]/);
    return lines.map((line) => line.slice(margin)).join("\n").trimEnd() + "\n";
  }

  static #scalar(text) {
    if (text.startsWith("'")) return text.slice(1, -1).replaceAll("''", "'");
    if (text.startsWith('"')) return JSON.parse(text);
    if (text === "{}") return {};
    if (text.startsWith("[")) {
      return text === "[]" ? [] : text.slice(1, -1).split(/, */).map((part) => YAMLReader.#scalar(part));
    }
    const words = { true: true, false: false, null: null };
    if (text in words) return words[text];
    const isNumber = /^-?\d+(\.\d+)?$/.test(text) && Math.abs(Number(text)) <= Number.MAX_SAFE_INTEGER;
    return isNumber ? Number(text) : text;
  }

  #fail(line) { throw new Error(`openapi.yaml, line ${this.#at + 1}: ${line.trim()}`); }
}
