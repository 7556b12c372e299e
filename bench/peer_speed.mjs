// llama.cpp's speed on a file, for one run of an interleaved comparison (bench/compare_llama.sh).
//   node peer_speed.mjs MODEL.gguf PREFILL_TOKENS DECODE_TOKENS
// One JSON line: {"prefill_tps","decode_tps","load_s"}. Decode feeds fixed ids: what is sampled costs nobody anything.
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const [modelPath, prefillText, decodeText] = process.argv.slice(2);
const prefill = Number(prefillText), decode = Number(decodeText), threads = 2;
const seconds = () => Number(process.hrtime.bigint()) / 1e9;

const started = seconds();
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: threads});
const model = await llama.loadModel({modelPath});
const context = await model.createContext({contextSize: prefill + decode + 64, threads, batchSize: 512});
const sequence = context.getSequence();
const loaded = seconds();

const ids = Array.from({length: prefill}, (_, i) => 100 + (i * 37) % 1000);
await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, 8));  // warm: thread pool, page tables
await sequence.clearHistory();
let mark = seconds();
await sequence.evaluateWithoutGeneratingNewTokens(ids);
const prefillTps = prefill / (seconds() - mark);

await sequence.clearHistory();
await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, 16));
const next = {generateNext: {token: true, options: {temperature: 0}}};
await sequence.controlledEvaluate([[ids[16], next]]);
mark = seconds();
for (let i = 0; i < decode; i += 1) await sequence.controlledEvaluate([[ids[(17 + i) % prefill], next]]);
const decodeTps = decode / (seconds() - mark);

console.log(JSON.stringify({prefill_tps: prefillTps, decode_tps: decodeTps, load_s: loaded - started}));
await context.dispose();
process.exit(0);
