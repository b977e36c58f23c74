// The README's program for Node does what it says.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { binary, TestServer, waitFor } from "./server.js";

const file = (name) => new URL(`../${name}`, import.meta.url);

it("echoes", { skip: !binary && "LUCIQ names no executable" }, async () => {
  const [, program] = /^```js\n(\/\/ echo\.mjs\n[^]*?)^```/m.exec(readFileSync(file("README.md"), "utf8"));
  const server = await TestServer.start();
  const folder = mkdtempSync(join(tmpdir(), "luciq-sdk-"));
  let echo;
  try {
    const site = await server.application();
    const { key } = await server.call("POST", `${site.path}/keys`, { name: "echo", scopes: ["read", "write"] });
    const messages = `${site.path}/chats/${await server.chat(site, 1)}/messages`;
    writeFileSync(join(folder, "echo.mjs"), program);
    writeFileSync(join(folder, "package.json"), `{"type":"module"}`);
    copyFileSync(file("luciq-chat.js"), join(folder, "luciq-chat.js"));
    echo = spawn(process.execPath, ["echo.mjs"], {
      cwd: folder, stdio: "inherit",
      env: { ...process.env, LUCIQ_URL: server.url, LUCIQ_APP: site.id, LUCIQ_KEY: key } });
    const bodies = async () => (await server.call("GET", messages)).map(({ body }) => body);
    // It may begin after the first of them.
    let said = 0;
    await waitFor("an answer", async () => {
      if ((await bodies()).includes(`You said: hello ${said}`)) return true;
      said += 1;
      await server.call("POST", messages, { body: `hello ${said}` });
      await new Promise((resolve) => setTimeout(resolve, 100));
      return false;
    });
    assert.ok(!(await bodies()).includes("You said: message 1"));
  } finally {
    echo?.kill("SIGKILL");
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
