// A real server, whose executable LUCIQ names, on a database and a port of its own: it can be killed and started again.

import { spawn, execFileSync } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const binary = process.env.LUCIQ;

const freePort = () => new Promise((resolve) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});

export class TestServer {
  #process = null;
  #folder = mkdtempSync(join(tmpdir(), "luciq-sdk-"));
  #log = "";

  static async start(settings = {}) {
    const server = new TestServer();
    server.admin = execFileSync(binary, ["keys", "admin"], { encoding: "utf8" }).trim();
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}`;
    server.settings = { LUCIQ_ADMIN_KEY: server.admin, ...settings };
    await server.start();
    return server;
  }

  async start() {
    this.#process = spawn(binary, ["serve"], {
      env: { PATH: process.env.PATH, HOST: "127.0.0.1", PORT: `${this.port}`, LOG_FORMAT: "json",
        DATABASE_URL: `sqlite://${this.#folder}/luciq.sqlite`, ...this.settings },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process.stderr.on("data", (data) => { this.#log = (this.#log + data).slice(-4000); });
    await waitFor("the server to start", async () => {
      if (this.#process.exitCode !== null) throw new Error(`The server did not start: ${this.#log}`);
      return fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false);
    });
  }

  async #end(signal) {
    const running = this.#process;
    if (!running || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise((resolve) => running.once("exit", resolve));
    running.kill(signal);
    await ended;
  }

  kill() { return this.#end("SIGKILL"); }
  stop() { return this.#end("SIGTERM"); }

  async restart(signal = "SIGKILL") {
    await this.#end(signal);
    await this.start();
  }

  async close() {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async call(method, path, json, bearer = this.admin) {
    const response = await fetch(this.url + path, {
      method, body: json === undefined ? undefined : JSON.stringify(json),
      headers: { Authorization: `Bearer ${bearer}`, ...(json && { "Content-Type": "application/json" }) },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  /** An application with a key for tokens. */
  async application() {
    const { id } = await this.call("POST", "/applications", { name: "sdk" });
    const path = `/applications/${id}`;
    const { kid, secret } = await this.call("POST", `${path}/jwt-keys`, { alg: "HS256" });
    const token = (sub, lifetime = 600) => {
      const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
      const now = Math.floor(Date.now() / 1000);
      const claims = { aud: id, sub, iat: now, exp: now + lifetime, jti: randomUUID() };
      const text = `${part({ alg: "HS256", kid })}.${part(claims)}`;
      return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
    };
    return { id, path, token };
  }

  async chat({ path }, count = 0) {
    const { chat_number: number } = await this.call("POST", `${path}/chats`, {});
    for (let made = 1; made <= count; made += 1) {
      await this.call("POST", `${path}/chats/${number}/messages`, { body: `message ${made}` });
    }
    return number;
  }
}

/** Waits for a condition. A bound that is reached is a failure. */
export async function waitFor(what, condition, bound = 30_000) {
  for (const began = Date.now(); Date.now() - began < bound;) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`Waited too long for ${what}.`);
}

/** What a chat holds is what a reload shows. */
export async function reloaded(server, { path }, chat) {
  const rows = await server.call("GET", `${path}/chats/${chat}/messages?limit=1000`);
  return rows.map(facts);
}

export const shown = (chat) => chat.state.messages.map(facts);

const facts = ({ number, body, sender, rev = 0, deleted_at: deletedAt = null }) =>
  ({ number, body, sender, rev, deletedAt });
