// llama.cpp's speed on a file, for one run of an interleaved comparison (bench/compare_llama.py).
//   node peer_speed.mjs MODEL.gguf PREFILL_TOKENS DECODE_TOKENS STREAMS[,STREAMS...] [CONTEXT] [BEHIND]
// One JSON line: {"prefill_tps", "decode_tps": {"1": ..., "8": ...}, "load_s", "context_decode_tps"}. Decode feeds fixed ids:
// what is sampled costs nobody anything. CONTEXT: BEHIND streams (1) decode behind so many
// tokens each.
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const [modelPath, prefillText, decodeText, streamsText = "1", contextText = "0", behindText = "1"] = process.argv.slice(2);
const prefill = Number(prefillText), decode = Number(decodeText), threads = 2;
const streamCounts = streamsText.split(",").map(Number), context = Number(contextText);
const seconds = () => Number(process.hrtime.bigint()) / 1e9;
const next = {generateNext: {token: true, options: {temperature: 0}}};

const started = seconds();
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: threads});
const model = await llama.loadModel({modelPath});
const loaded = seconds();
const ids = Array.from({length: Math.max(prefill, context, 64)}, (_, i) => 100 + (i * 37) % 1000);

async function withSequences(count, contextSize, use) {
  const ctx = await model.createContext({contextSize, threads, batchSize: 512, sequences: count});
  const sequences = Array.from({length: count}, () => ctx.getSequence());
  const result = await use(sequences);
  await ctx.dispose();
  return result;
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

// Every sequence one token at a time, all in one batch: node-llama-cpp joins what waits at the same moment.
async function decodeSpeed(count, before) {
  return withSequences(count, before + decode + 64, async (sequences) => {
    await Promise.all(sequences.map((s) => s.evaluateWithoutGeneratingNewTokens(ids.slice(0, Math.max(before, 1)))));
    const times = [];
    for (let i = 0; i < decode; i += 1) {
      const mark = seconds();
      await Promise.all(sequences.map((s) => s.controlledEvaluate([[ids[(17 + i) % 60], next]])));
      times.push(seconds() - mark);
    }
    return count / median(times);
  });
}

const out = {load_s: loaded - started, decode_tps: {}};
if (prefill > 0) {
  out.prefill_tps = await withSequences(1, prefill + 64, async ([s]) => {
    await s.evaluateWithoutGeneratingNewTokens(ids.slice(0, 8));  // warm: thread pool, page tables
    await s.clearHistory();
    const mark = seconds();
    await s.evaluateWithoutGeneratingNewTokens(ids.slice(0, prefill));
    return prefill / (seconds() - mark);
  });
}
for (const count of streamCounts.filter((n) => n > 0)) out.decode_tps[count] = await decodeSpeed(count, 1);
if (context > 0) out.context_decode_tps = await decodeSpeed(Number(behindText), context);
console.log(JSON.stringify(out));
process.exit(0);
