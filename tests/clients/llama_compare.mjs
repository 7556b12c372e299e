// Our engine against real llama.cpp on the same GGUF files, made by our own quantiser from the demo model.
//   node llama_compare.mjs BUILD_DIR DEMO.gguf
// Holds: same ids; teacher forced over 30 texts x 64 tokens, the same most likely token wherever llama.cpp's top two are
// more than 0.05 apart; greedy text equal up to the first such near tie. Exit 1 at any breach.
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
  const lines = execFileSync(probe, [model, textsPath, String(TOKENS)], {maxBuffer: 1 << 28}).toString().trim().split("\n");
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

const scratch = mkdtempSync(path.join(tmpdir(), "dormouse-peer-"));
let failed = false;
try {
  for (const type of ["F16", "Q8_0", "Q4_K_M", "Q2_K"]) {
    const model = path.join(scratch, `demo-${type}.gguf`);
    execFileSync(path.join(buildDir, "dormouse-worker"), ["quantize", demo, model, "--type", type], {stdio: "pipe"});
    const tally = await compareModel(model);
    console.log(`${type}: ${texts.length} texts, ${tally.positions} positions, ${tally.nearTies} near ties of llama.cpp's ` +
      `(${tally.excused} answered otherwise), greedy whole in ${tally.greedyWhole}, breaches ${tally.breaches.length}`);
    tally.breaches.slice(0, 10).forEach((breach) => console.log(`  ${breach}`));
    if (tally.breaches.length > 0 || tally.positions < texts.length * 32) failed = true;
  }
} finally {
  rmSync(scratch, {recursive: true, force: true});
}
process.exit(failed ? 1 : 0);
