// Our engine against real llama.cpp on the same GGUF files, made by our own quantiser from the demo model.
//   node llama_compare.mjs BUILD_DIR DEMO.gguf
// Holds on the demo model: same ids; teacher forced over 30 texts x 64 tokens, the same most likely token wherever
// llama.cpp's top two are no near tie; greedy text equal up to the first near tie. A near tie is 0.05, or four times the
// error of llama.cpp's own margins against an exact evaluation of the same weights, whichever is more: both engines round
// activations to int8 in every product, and after the first layer their rounding errors have nothing in common, so a
// margin below the peer's own error says nothing about us. What 0.05 alone would have refused is printed. On a 4-layer model of random weights, where near
// ties are everywhere: the logits' relative error against our own scalar path on the same weights in F32.
// Exit 1 at any breach.
import {execFileSync} from "node:child_process";
import {mkdtempSync, readFileSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {openPeer} from "./llama_peer.mjs";

const NEAR_TIE = 0.05;  // logits
const TOKENS = 64;
const [buildDir, demo] = process.argv.slice(2);
const textsPath = path.join(import.meta.dirname, "texts.txt");
const texts = readFileSync(textsPath, "utf8").trimEnd().split("\n---\n");

function judge(gap, what, tally) {
  if (gap > tally.nearTie) tally.breaches.push(what);
  else tally.excused += 1;
  if (gap > NEAR_TIE) tally.overFixed.push(`${what}, gap ${gap.toFixed(3)}`);
}

function compareForced(ours, theirs, tally) {
  theirs.forEach(({id, gap}, i) => {
    tally.positions += 1;
    if (gap <= tally.nearTie) tally.nearTies += 1;
    if (id !== ours[i]) judge(gap, `position ${i}: ours ${ours[i]}, llama.cpp ${id}`, tally);
  });
}

// Up to the first difference, which must be a near tie of llama.cpp's.
function compareGreedy(ours, theirs, tally) {
  const at = theirs.findIndex(({id}, i) => id !== ours[i]);
  if (at < 0) tally.greedyWhole += 1;
  else judge(theirs[at].gap, `greedy ${at}: ours ${ours[at]}, llama.cpp ${theirs[at].id}`, tally);
}

// Squares of (llama.cpp's margin between its top two - the exact margin between the same two), one a position.
function marginErrors(rows, exact, ids) {
  const logits = ourLogits(exact, "", ids), vocab = logits.length / ids.length;
  return rows.map(({id, second, gap}, i) => (gap - logits[i * vocab + id] + logits[i * vocab + second]) ** 2);
}

async function compareModel(model, exact) {
  const probe = path.join(buildDir, "tests/golden/peer_probe");
  const lines = execFileSync(probe, ["texts", model, textsPath, String(TOKENS)], {maxBuffer: 1 << 28}).toString().trim().split("\n");
  const ours = lines.map((line) => JSON.parse(line));
  if (ours.length !== texts.length) throw new Error(`peer_probe answered ${ours.length} of ${texts.length} texts`);
  const peer = await openPeer(model);
  const pairs = [], squares = [], tally = {positions: 0, nearTies: 0, excused: 0, greedyWhole: 0, breaches: [], overFixed: []};
  for (const [index, text] of texts.entries()) {
    const ids = Array.from(peer.tokenize(`${text}\n`)).slice(0, TOKENS);
    if (JSON.stringify(ids) !== JSON.stringify(ours[index].ids)) {
      tally.breaches.push(`text ${index}: tokenised differently: ours ${ours[index].ids}; llama.cpp ${ids}`);
      continue;
    }
    const forced = await peer.forced(ids);
    squares.push(...marginErrors(forced, exact, ids));
    pairs.push({ours: ours[index], forced, greedy: await peer.greedy(ids.slice(0, ours[index].prompt), TOKENS)});
  }
  await peer.close();
  tally.peerError = Math.sqrt(squares.reduce((a, b) => a + b, 0) / squares.length);
  tally.nearTie = Math.max(NEAR_TIE, 4 * tally.peerError);
  for (const {ours: mine, forced, greedy} of pairs) {
    compareForced(mine.argmax, forced, tally);
    compareGreedy(mine.greedy, greedy, tally);
  }
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
    const exact = path.join(scratch, `demo-${type}-f32.gguf`);
    execFileSync(path.join(buildDir, "dormouse-worker"), ["quantize", "--allow-requantize", model, exact, "--type", "F32"], {stdio: "pipe"});
    const tally = await compareModel(model, exact);
    console.log(`${type}: ${texts.length} texts, ${tally.positions} positions; llama.cpp's own margin error ` +
      `${tally.peerError.toFixed(4)}, near tie ${tally.nearTie.toFixed(3)}: ${tally.nearTies} (${tally.excused} answered ` +
      `otherwise); greedy whole in ${tally.greedyWhole}; breaches ${tally.breaches.length}; over 0.05 ${tally.overFixed.length}`);
    tally.overFixed.forEach((what) => console.log(`  over 0.05: ${what}`));
    tally.breaches.slice(0, 10).forEach((breach) => console.log(`  ${breach}`));
    if (tally.breaches.length > 0 || tally.positions < texts.length * 32) failed = true;
    if (!await compareSynth(type, scratch)) failed = true;
  }
} finally {
  rmSync(scratch, {recursive: true, force: true});
}
process.exit(failed ? 1 : 0);
