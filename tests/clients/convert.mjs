// Our converter against real llama.cpp: a model of noise becomes a Hugging Face folder (by Python that shares nothing
// with the converter), the folder a GGUF again, and llama.cpp reads it: the same texts give the same ids, and the same
// ids the same logits, to the bit, as the file it came from.
//   node convert.mjs BUILD_DIR
import {execFileSync} from "node:child_process";
import {mkdtempSync, readFileSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {openPeer} from "./llama_peer.mjs";

const [buildDir] = process.argv.slice(2);
const worker = path.join(buildDir, "dormouse-worker");
const toFolder = path.join(import.meta.dirname, "../golden/gguf_to_checkpoint.py");
const texts = readFileSync(path.join(import.meta.dirname, "texts.txt"), "utf8").trimEnd().split("\n---\n");
const VOCABULARY = 512, TOKENS = 48;

async function answers(model) {
  const peer = await openPeer(model);
  const ids = texts.map((text) => Array.from(peer.tokenize(text)));
  const logits = await peer.logits(Array.from({length: TOKENS}, (_, i) => 40 + (i * 29) % 200), VOCABULARY);
  await peer.close();
  return {ids, logits: Buffer.from(logits.buffer)};
}

const scratch = mkdtempSync(path.join(tmpdir(), "dormouse-convert-"));
let failed = false;
try {
  for (const type of ["F32", "F16", "BF16"]) {
    const source = path.join(scratch, `${type}.gguf`), folder = path.join(scratch, `folder-${type}`);
    const result = path.join(scratch, `converted-${type}.gguf`);
    execFileSync(worker, ["synth", "--config", "tiny", "--layers", "3", "--type", type, "--seed", "5", source], {stdio: "pipe"});
    execFileSync("python3", [toFolder, source, folder, "--part-bytes", "1000000"], {stdio: "pipe"});
    execFileSync(worker, ["convert", folder, result, "--type", type], {stdio: "pipe"});
    const want = await answers(source), got = await answers(result);
    const sameIds = JSON.stringify(want.ids) === JSON.stringify(got.ids), sameLogits = want.logits.equals(got.logits);
    console.log(`convert ${type}: in llama.cpp ${texts.length} texts ${sameIds ? "have the same ids" : "DIFFER in ids"}, ` +
      `${TOKENS} rows of logits ${sameLogits ? "are the same bits" : "DIFFER"}`);
    // Noise that is all zero would agree with anything.
    const isAlive = new Set(want.ids.flat()).size > 50 && new Set(want.logits).size > 100;
    if (!sameIds || !sameLogits || !isAlive) failed = true;
  }
} finally {
  rmSync(scratch, {recursive: true, force: true});
}
process.exit(failed ? 1 : 0);
