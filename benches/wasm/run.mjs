// Runs the program in node's WebAssembly, with nothing to import: what it needs, it has to bring along. Then once more with one digit
// of a vector changed in its memory, which it has to notice.
//
// node run.mjs tokenim-wasm.wasm

import { readFile } from "node:fs/promises";

const ACCEPTANCE = 4; // its number among the checks of main.rs

function fail(why) {
  console.error(`wasm: ${why}`);
  process.exit(1);
}

const code = await readFile(process.argv[2]);
const program = await WebAssembly.compile(code);
const imports = WebAssembly.Module.imports(program).map(({ module, name }) => `${module}.${name}`);
if (imports.length > 0) fail(`imports ${imports.join(", ")}`);

function start(prepare) {
  const { memory, main } = new WebAssembly.Instance(program).exports;
  prepare?.(Buffer.from(memory.buffer));
  return main(0, 0);
}

const failed = start();
if (failed !== 0) fail(`check ${failed} failed`);

const vectors = JSON.parse(await readFile(new URL("../../crates/ledger/tests/vectors/acceptance.json", import.meta.url)));
const { proof } = vectors.cases.find(({ error }) => error === null);
const noticed = start((memory) => {
  const at = memory.indexOf(proof);
  if (at < 0) fail("the vector is not in the program's memory");
  const digit = at + proof.length - 1;
  memory[digit] = memory[digit] === 0x30 ? 0x31 : 0x30;
});
if (noticed !== ACCEPTANCE) fail(`a changed proof gave ${noticed}, not ${ACCEPTANCE}`);

console.log(`wasm: ${(code.length / 1024).toFixed(0)} KiB without an import, all checks passed, a changed proof noticed`);
