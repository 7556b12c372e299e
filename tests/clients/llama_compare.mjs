// Our engine against real llama.cpp on the same GGUF files, made by our own quantiser from the demo model.
//   node llama_compare.mjs BUILD_DIR DEMO.gguf
// Holds on the demo model: same ids; teacher forced over 30 texts x 64 tokens, the same most likely token wherever llama.cpp's top two are
// more than 0.05 apart; greedy text equal up to the first such near tie. On a 4-layer model of random weights, where near
// ties are everywhere: the logits' relative error against our own scalar path on the same weights in F32.
// Exit 1 at any breach.
import {execFileSync} from "node:child_process";
import {mkdtempSync, readFileSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {openPeer} from "./llama_peer.mjs";

const NEAR_TIE = 0.05;  // logits; engine notes: both sides quantise activations, in different blocks
const TOKENS = 64;
const [buildDir, demo] = process.argv.slice(2);
const textsPath = path.join(import.meta.dirname, "texts.txt");
const texts = readFileSync(textsPath, "utf8").trimEnd().split("\n---\n");

function compareForced(ours, theirs, tally) {
  theirs.forEach(({id, gap}, i) => {
    tally.positions += 1;
    if (gap <= NEAR_TIE) tally.nearTies += 1;
    if (id === ours[i]) return;
    if (gap > NEAR_TIE) tally.breaches.push(`position ${i}: ours ${ours[i]}, llama.cpp ${id}, its gap ${gap.toFixed(3)}`);
    else tally.excused += 1;
  });
}

// True when equal up to the first near tie of either engine's own making.
function compareGreedy(ours, theirs, tally) {
  for (let i = 0; i < theirs.length; i += 1) {
    if (theirs[i].id === ours[i]) continue;
    if (theirs[i].gap > NEAR_TIE) tally.breaches.push(`greedy ${i}: ours ${ours[i]}, llama.cpp ${theirs[i].id}`);
    return;
  }
  tally.greedyWhole += 1;
}

async function compareModel(model) {
  const probe = path.join(buildDir, "tests/golden/peer_probe");
  const lines = execFileSync(probe, ["texts", model, textsPath, String(TOKENS)], {maxBuffer: 1 << 28}).toString().trim().split("\n");
  const ours = lines.map((line) => JSON.parse(line));
  if (ours.length !== texts.length) throw new Error(`peer_probe answered ${ours.length} of ${texts.length} texts`);
  const tally = {positions: 0, nearTies: 0, excused: 0, greedyWhole: 0, breaches: []};
  const peer = await openPeer(model);
  for (const [index, text] of texts.entries()) {
    const ids = Array.from(peer.tokenize(`${text}\n`)).slice(0, TOKENS);
    if (JSON.stringify(ids) !== JSON.stringify(ours[index].ids)) {
      tally.breaches.push(`text ${index}: tokenised differently: ours ${ours[index].ids}; llama.cpp ${ids}`);
      continue;
    }
    compareForced(ours[index].argmax, await peer.forced(ids), tally);
    compareGreedy(ours[index].greedy, await peer.greedy(ids.slice(0, ours[index].prompt), TOKENS), tally);
  }
  await peer.close();
  return tally;
}

function relativeError(values, truth) {
  let difference = 0, norm = 0;
  for (let i = 0; i < truth.length; i += 1) {
    difference += (values[i] - truth[i]) ** 2;
    norm += truth[i] ** 2;
  }
  return Math.sqrt(difference / norm);
}

function ourLogits(model, isa, ids) {
  const args = ["logits", model, isa, ...ids.map(String)];
  const raw = execFileSync(path.join(buildDir, "tests/golden/peer_probe"), args, {maxBuffer: 1 << 30});
  return new Float32Array(raw.buffer, raw.byteOffset, raw.byteLength / 4);
}

// Both engines round activations to int8 blocks before each product with quantised weights: a relative step of 1/127 of
// a block's largest value, about 1 % of its norm, six times a layer and four layers deep, gives some 3 %. Ours may reach
// that bound, and must not be worse than llama.cpp's own error by more than half.
const SYNTH_BOUND = 0.05;

async function compareSynth(type, scratch) {
  const worker = path.join(buildDir, "dormouse-worker");
  const model = path.join(scratch, `synth-${type}.gguf`), exact = path.join(scratch, `synth-${type}-f32.gguf`);
  execFileSync(worker, ["synth", "--config", "tiny", "--layers", "4", "--type", type, "--seed", "3", model], {stdio: "pipe"});
  execFileSync(worker, ["quantize", "--allow-requantize", model, exact, "--type", "F32"], {stdio: "pipe"});
  const ids = Array.from({length: 48}, (_, i) => 40 + (i * 29) % 200);
  const truth = ourLogits(exact, "scalar", ids);
  const ours = relativeError(ourLogits(model, "", ids), truth);
  const peer = await openPeer(model);
  const theirs = relativeError(await peer.logits(ids, truth.length / ids.length), truth);
  await peer.close();
  console.log(`${type}, 4 layers of noise: relative logit error against F32 ours ${ours.toExponential(2)}, ` +
    `llama.cpp ${theirs.toExponential(2)}`);
  // F16 has no rounded activations here, and keeps 11 bits in llama.cpp: compare ours with the bound of float sums only.
  return ours <= (type === "F16" ? 1e-4 : Math.min(SYNTH_BOUND, 1.5 * theirs));
}

const scratch = mkdtempSync(path.join(tmpdir(), "dormouse-peer-"));
let failed = false;
try {
  for (const type of ["F16", "Q8_0", "Q4_K_M", "Q2_K"]) {
    const model = path.join(scratch, `demo-${type}.gguf`);
    execFileSync(path.join(buildDir, "dormouse-worker"), ["quantize", "--allow-requantize", demo, model, "--type", type], {stdio: "pipe"});
    const tally = await compareModel(model);
    console.log(`${type}: ${texts.length} texts, ${tally.positions} positions, ${tally.nearTies} near ties of llama.cpp's ` +
      `(${tally.excused} answered otherwise), greedy whole in ${tally.greedyWhole}, breaches ${tally.breaches.length}`);
    tally.breaches.slice(0, 10).forEach((breach) => console.log(`  ${breach}`));
    if (tally.breaches.length > 0 || tally.positions < texts.length * 32) failed = true;
    if (!await compareSynth(type, scratch)) failed = true;
  }
} finally {
  rmSync(scratch, {recursive: true, force: true});
}
process.exit(failed ? 1 : 0);
