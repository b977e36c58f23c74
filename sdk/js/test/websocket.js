// As much of a browser's WebSocket as the library uses, over a socket of Node (RFC 6455): for versions of Node without
// one, and so that tests can make a connection silent.

import { randomBytes } from "node:crypto";
import { connect } from "node:net";

export class TestWebSocket {
  /** Those that are open. */
  static open = new Set();
  static opened = 0;

  readyState = 0;
  onopen = null; onclose = null; onmessage = null; onerror = null;
  sent = [];
  isDeaf = false;    // brings nothing any more
  #socket; #rest = Buffer.alloc(0); #isUpgraded = false;

  constructor(url, protocols) {
    const { hostname, port, pathname, host } = new URL(url);
    this.#socket = connect(Number(port), hostname, () => this.#socket.write(
      `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
      + `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n`
      + `Sec-WebSocket-Protocol: ${protocols.join(", ")}\r\n\r\n`));
    this.#socket.on("data", (data) => this.#take(data));
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => this.#ended(1006, ""));
  }

  send(text) {
    this.sent.push(text);
    this.#write(0x1, Buffer.from(text));
  }

  close() {
    this.#write(0x8, Buffer.from([0x03, 0xe8]));
    this.#socket.end();
    this.#ended(1000, "");
  }

  #ended(code, reason) {
    if (this.readyState === 3) return;
    this.readyState = 3;
    TestWebSocket.open.delete(this);
    this.#socket.destroySoon();
    this.onclose?.({ code, reason });
  }

  #write(opcode, payload) {
    const { length } = payload;
    const size = length < 126 ? [0x80 | length] : length < 65536 ? [0xfe, length >> 8, length & 255]
      : [0xff, 0, 0, 0, 0, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255];
    const mask = randomBytes(4);
    const masked = payload.map((byte, index) => byte ^ mask[index & 3]);
    this.#socket.write(Buffer.concat([Buffer.from([0x80 | opcode, ...size]), mask, masked]));
  }

  #take(data) {
    this.#rest = Buffer.concat([this.#rest, data]);
    if (!this.#isUpgraded) {
      const end = this.#rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = this.#rest.subarray(0, end).toString();
      this.#rest = this.#rest.subarray(end + 4);
      if (!head.startsWith("HTTP/1.1 101")) {
        this.#socket.destroy();
        return;
      }
      this.#isUpgraded = true;
      this.readyState = 1;
      TestWebSocket.open.add(this);
      TestWebSocket.opened += 1;
      this.onopen?.({});
    }
    while (this.#frame());
  }

  #frame() {
    if (this.#rest.length < 2) return false;
    const opcode = this.#rest[0] & 15;
    let [length, start] = [this.#rest[1] & 127, 2];
    if (length === 126) [length, start] = [this.#rest.length < 4 ? Infinity : this.#rest.readUInt16BE(2), 4];
    else if (length === 127) {
      [length, start] = [this.#rest.length < 10 ? Infinity : Number(this.#rest.readBigUInt64BE(2)), 10];
    }
    if (this.#rest.length < start + length) return false;
    const payload = this.#rest.subarray(start, start + length);
    this.#rest = this.#rest.subarray(start + length);
    if (this.isDeaf) return true;
    if (opcode === 0x1) this.onmessage?.({ data: payload.toString() });
    else if (opcode === 0x9) this.#write(0xa, payload);
    else if (opcode === 0x8) {
      this.#ended(payload.length < 2 ? 1005 : payload.readUInt16BE(0), payload.subarray(2).toString());
    }
    return true;
  }
}
