// luciq-chat.d.ts is kept by hand: it has what the module has.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import * as library from "../luciq-chat.js";

const types = readFileSync(new URL("../luciq-chat.d.ts", import.meta.url), "utf8");
const isPublic = (name) => typeof name === "string" && !name.startsWith("_") && name !== "constructor";

// A class's declaration, up to the brace that closes it.
const declarationOf = (name) => new RegExp(`^export class ${name}\\b[^]*?^}`, "m").exec(types)?.[0] ?? "";

it("names every export, and no other", () => {
  const named = Array.from(types.matchAll(/^export (?:declare )?(?:class|function) (\w+)/gm), ([, name]) => name);
  assert.deepEqual(named.sort(), Object.keys(library).sort());
});

it("names every member of the classes", () => {
  for (const [name, value] of Object.entries(library)) {
    if (!/^class/.test(Function.prototype.toString.call(value))) continue;
    const declaration = declarationOf(name);
    for (const member of Object.getOwnPropertyNames(value.prototype).filter(isPublic)) {
      assert.match(declaration, new RegExp(`\\b${member}\\b`), `${name}.${member}`);
    }
  }
});
