// The module in a real page, of another origin than the server's.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { it } from "node:test";
import { binary, TestServer } from "./server.js";

const places = (process.env.PATH ?? "").split(delimiter)
  .flatMap((folder) => ["chromium", "google-chrome"].map((name) => join(folder, name)))
  .concat(["Chromium", "Google Chrome"].map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`));

function browser() {
  for (const place of places) {
    // The next place may have one.
    try { accessSync(place, constants.X_OK); return place; } catch { /* As said. */ }
  }
  throw new Error("The test needs Chromium: install it, or run scripts/setup sdk.");
}

// What the page does: it tells its steps to the test, and waits for answers.
const script = `
  import { LuciqClient, webStorage } from "/luciq-chat.js";
  const tell = async (step, more = null) =>
    (await fetch("/" + step, { method: "POST", body: JSON.stringify(more) })).json();
  try {
    const { url, application, number } = await tell("begin");
    const client = new LuciqClient({
      url, application, token: async () => (await tell("token")).token,
      storage: webStorage(), backoff: { min: 50, max: 500 } });
    const chat = client.open(number);
    await chat.until(({ status }) => status === "live");
    await chat.send("from a page").done;
    await chat.until(({ state }) => state.messages.length === 2);
    await chat.edit(2, { body: "edited by a page" }).done;
    await tell("restart");
    await chat.until(({ status, state }) => status === "live" && state.messages.length === 3);
    const bodies = chat.state.messages.map(({ body }) => body);
    await tell("done", { bodies, user: client.user, kept: localStorage.length });
  } catch (error) {
    await tell("failed", { error: String(error.stack) });
  }`;

const skip = !binary && "LUCIQ names no executable";

it("works in Chromium, over a WebSocket, and resumes when the server was killed", { skip }, async () => {
  const server = await TestServer.start();
  const profile = mkdtempSync(join(tmpdir(), "luciq-sdk-"));
  let chromium;
  let told;
  const outcome = new Promise((resolve) => { told = resolve; });
  let site;
  let number;
  const steps = {
    begin: async () => ({ url: server.url, application: site.id, number }),
    token: async () => ({ token: site.token("zoë") }),
    restart: async () => {
      await server.restart();
      await server.call("POST", `${site.path}/chats/${number}/messages`, { body: "meanwhile" });
      return null;
    },
  };
  const page = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    const name = request.url.slice(1);
    if (request.method === "POST") {
      const answer = steps[name] ? await steps[name]() : null;
      if (!steps[name]) told({ name, ...JSON.parse(body) });
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify(answer));
    } else if (name === "luciq-chat.js") {
      response.setHeader("Content-Type", "text/javascript");
      response.end(readFileSync(new URL("../luciq-chat.js", import.meta.url)));
    } else {
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      response.end(`<!doctype html><title>SDK</title><script type="module">${script}</script>`);
    }
  });
  try {
    await new Promise((resolve) => page.listen(0, "127.0.0.1", resolve));
    const origin = `http://127.0.0.1:${page.address().port}`;
    site = await server.application();
    await server.call("PATCH", site.path, { origins: [origin] });
    number = await server.chat(site, 1);
    chromium = spawn(browser(), [
      "--headless=new", `--user-data-dir=${profile}`, "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
      "--disable-background-networking", "--disable-component-update", "--no-first-run", "--no-proxy-server", origin,
    ], { stdio: "ignore" });
    const result = await Promise.race([outcome, new Promise((_, reject) =>
      setTimeout(() => reject(new Error("The page has not come to its end.")), 60_000).unref())]);
    assert.deepEqual(result, {
      name: "done", bodies: ["message 1", "edited by a page", "meanwhile"], user: "zoë", kept: 0 });
  } finally {
    if (chromium) {
      const ended = new Promise((resolve) => chromium.once("exit", resolve));
      chromium.kill("SIGKILL");
      await ended;
    }
    page.closeAllConnections?.();
    page.close();
    await server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
  }
});
